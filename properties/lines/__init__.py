"""The lines of a step, each judged from the results of the lines before it."""
