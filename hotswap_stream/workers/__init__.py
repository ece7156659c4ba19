"""Workers: those that answer requests, and those that train."""
