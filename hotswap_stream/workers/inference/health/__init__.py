"""Health of a worker: whether its loops get on, and whether the process itself stood still."""
