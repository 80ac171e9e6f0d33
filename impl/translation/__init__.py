"""From the state of one dialect to the state of another, with an exact account of the changes."""
