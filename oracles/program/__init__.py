"""Programs: a finite list of calls on an optimizer, as plain data and as JSON."""
