"""Alerts, and who is told of events."""
