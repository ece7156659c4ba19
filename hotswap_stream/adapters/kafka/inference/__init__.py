"""Requests to models and their answers, by way of topics."""
