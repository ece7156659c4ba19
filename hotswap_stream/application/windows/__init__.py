"""Windows: the latest steps of each series, as a fold of a topic."""
