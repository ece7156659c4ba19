"""The registry REST of MLflow: its clients, unchanged, on this registry."""
