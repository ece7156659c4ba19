"""Rollouts: their events and commands, strategies, evidence, and the record that others read."""
