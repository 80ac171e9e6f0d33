"""Performing a program on a subject, and the transcript of it."""
