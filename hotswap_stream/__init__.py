"""Models served from Kafka topics; every registry change an event; weights swapped when the promotion event arrives."""

__version__ = "0.1.0"
