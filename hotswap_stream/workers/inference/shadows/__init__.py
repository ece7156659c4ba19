"""Shadows: versions that compute after the answers were sent."""
