"""Peeling: explain deviations by amendments and judge the subject on, so that no fault hides another."""
