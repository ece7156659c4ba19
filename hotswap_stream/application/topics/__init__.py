"""Topics and their records: what is promised of them, dead letters, and where copies may go."""
