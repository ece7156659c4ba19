"""MLflow's clients on this registry: where models of theirs come from, and how versions go back to them."""
