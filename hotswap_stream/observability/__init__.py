"""Logs of the processes."""
