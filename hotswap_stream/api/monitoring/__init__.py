"""Health, readiness and metrics: what orchestrators and Prometheus ask."""
