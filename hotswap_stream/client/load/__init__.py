"""Load on a model by topic or by HTTP: what to send, at which pace, and what came of it."""
