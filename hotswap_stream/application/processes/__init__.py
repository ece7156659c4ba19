"""Processes, threads and tasks that somebody watches."""
