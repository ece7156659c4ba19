"""What the workers' observations say of the whole fleet: sums for Prometheus, and how each model does right now."""
