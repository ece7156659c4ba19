"""The rules of rollouts: strategies, steps, outcomes, and who gets which version."""
