"""Subjects of any language: a process that speaks one JSON object a line."""
