"""Subjects of any language: a process on the other side of one JSON object a line."""
