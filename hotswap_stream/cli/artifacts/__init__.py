"""Artifacts on the command line."""
