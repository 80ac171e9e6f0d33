"""The terminal's output."""
