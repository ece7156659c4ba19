"""The state of one model, as its events left it."""
