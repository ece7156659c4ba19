"""Observations, feedback and answers, written to topics and read back."""
