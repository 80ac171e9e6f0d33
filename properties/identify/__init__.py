"""Identification of a subject's dialect, with the evidence against the others."""
