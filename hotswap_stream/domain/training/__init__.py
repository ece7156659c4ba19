"""Training runs: who may ask for one, who does it, and how it ends."""
