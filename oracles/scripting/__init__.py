"""Standalone scripts: what the scripts of all frameworks share, and which framework writes which."""
