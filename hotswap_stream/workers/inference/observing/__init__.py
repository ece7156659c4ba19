"""Observing answers: tallies, samples and circuits, never in the way of the next batch."""
