"""The cache for quick starts, made from a broker that is under load for a few seconds."""
