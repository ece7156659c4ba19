"""Audit on the command line."""
