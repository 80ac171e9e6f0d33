"""Subjects on optax."""
