"""From the state of one dialect to that of another, with an exact account of what changes."""
