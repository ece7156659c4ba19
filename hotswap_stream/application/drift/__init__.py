"""Drift: what is observed live, held against the profile of a version."""
