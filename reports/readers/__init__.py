"""Readers of rmspec's own files."""
