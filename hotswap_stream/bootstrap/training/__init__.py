"""Training in this environment: where it is typed, on request of a server, and by runners."""
