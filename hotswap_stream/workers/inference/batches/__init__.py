"""Batches: which version answers which request, and the forward passes."""
