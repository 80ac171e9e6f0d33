"""The reference optimizer as a subject."""
