"""The files that a run writes: one module for each format."""
