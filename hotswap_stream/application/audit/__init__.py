"""Audit: is the log what its writers wrote, an export of it, and an answer computed again."""
