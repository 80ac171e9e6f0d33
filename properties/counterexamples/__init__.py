"""From a finding to a deviation: reduced, attributed to a clause, compared with baselines."""
