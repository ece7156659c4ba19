"""A rollout decided again from what was recorded."""
