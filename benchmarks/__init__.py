"""Benchmarks: each measures ours and the comparison in the same run and prints the ratio."""
