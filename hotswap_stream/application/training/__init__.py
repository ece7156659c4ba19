"""Training runs: the order, the run, its children, and the evaluation."""
