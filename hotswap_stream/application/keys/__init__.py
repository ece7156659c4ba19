"""API keys: tokens, the table that says whose they are, and how keys are made, rotated and revoked."""
