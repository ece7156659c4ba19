"""The life of a federated model: versions by MLflow's client, triggers that start training, ways back."""
