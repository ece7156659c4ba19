"""Rollouts on the command line."""
