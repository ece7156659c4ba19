"""The user's own code, by names: what installed packages and the operator's modules bring, and what is missing."""
