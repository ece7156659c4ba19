"""Artifacts: the file, its manifest, the store behind a port, and the clean-up of old ones."""
