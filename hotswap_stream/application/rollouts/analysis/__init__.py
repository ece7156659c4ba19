"""The analysis of a running rollout: figures, tests, and what is due."""
