"""The files of a run: one module for each format."""
