"""Datasets of models: what is asked for, what is known of them, and how far the log reaches back."""
