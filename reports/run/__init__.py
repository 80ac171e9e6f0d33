"""Running checks: one process for each subject, and what comes back from it."""
