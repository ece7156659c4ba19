"""The ports of the application on Kafka: topics, the registry log, requests and answers."""
