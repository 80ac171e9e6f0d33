"""Running checks: one process for each subject, and its answers."""
