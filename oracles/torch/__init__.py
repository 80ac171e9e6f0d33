"""Subjects on PyTorch."""
