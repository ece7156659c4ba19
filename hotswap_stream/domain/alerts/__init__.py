"""The rules of alerts."""
