"""Java: a runtime, the command line of the broker, and its cache for quick starts."""
