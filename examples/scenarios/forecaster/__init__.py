"""A forecaster of 50 servers that is trained anew and reloaded while it answers."""
