"""Observations and feedback: what is recorded of answers, and how it is read again."""
