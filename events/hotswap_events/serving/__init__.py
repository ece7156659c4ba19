"""What stands between a model's active version and its callers: events and commands."""
