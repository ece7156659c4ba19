"""Webhooks: which events, what is posted, and how often it is tried."""
