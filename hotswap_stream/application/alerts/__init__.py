"""Alerts: figures over the last seconds, when one is raised or cleared, and what people ask about them."""
