"""Load tests on the command line."""
