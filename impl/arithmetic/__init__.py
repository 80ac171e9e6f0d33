"""Floating point: formats, policies, intervals, the envelope and its filter."""
