"""Training runs: asked for, listed, cancelled; and what starts them."""
