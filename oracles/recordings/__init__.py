"""Recordings of training runs: their files, written and read."""
