"""The registry log: its port, which log it is, and reading it in a loop of its own."""
