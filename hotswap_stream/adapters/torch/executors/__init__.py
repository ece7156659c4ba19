"""Executors: eager, exported and compiled, each checked against eager before it answers."""
