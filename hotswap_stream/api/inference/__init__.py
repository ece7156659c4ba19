"""Inference over HTTP: the Open Inference Protocol, and predictions without a protocol."""
