"""Checkpoint files: reading the state of an optimizer without unpickling anything, and writing it."""
