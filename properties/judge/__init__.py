"""What must hold: each call of a program against the specification."""
