"""Windows kept by a worker, written to a topic and read back."""
