"""The judge: compare each call of a program with the specification."""
