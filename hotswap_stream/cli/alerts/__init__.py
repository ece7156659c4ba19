"""Alerts on the command line."""
