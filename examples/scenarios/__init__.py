"""Five systems as scenarios: each runs by itself, against a hotswap-stream of its own, and ends with its figures."""
