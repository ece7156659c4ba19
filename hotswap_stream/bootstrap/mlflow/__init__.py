"""Models of MLflow in this environment: fetched, converted, registered."""
