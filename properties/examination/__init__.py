"""The examination of one subject: the plan, the triage of findings, the books."""
