"""Answers: their bytes, their topic, copies and dead letters."""
