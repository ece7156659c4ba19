"""Kafka behind the ports: topics, the registry log, request and response topics."""
