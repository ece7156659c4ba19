"""Rollouts: the evidence, what follows from it, reports and backtests."""
