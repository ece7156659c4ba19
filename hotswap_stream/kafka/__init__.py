"""Kafka as every part of this package uses it: clients that make no topics, and reading to an end."""
