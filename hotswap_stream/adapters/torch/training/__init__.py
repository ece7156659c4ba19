"""Training, evaluation and profiles, each in a process of its own."""
