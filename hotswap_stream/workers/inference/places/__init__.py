"""Where a partition is to be gone on with: what answers and commits say of it."""
