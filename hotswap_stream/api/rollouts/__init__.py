"""Rollouts over HTTP."""
