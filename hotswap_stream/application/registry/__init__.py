"""The registry: the fold of the log, commands on it, and what is asked of it, now or in the past."""
