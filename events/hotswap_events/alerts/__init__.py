"""Alerts of a model: their events, what people say about them, and the commands."""
