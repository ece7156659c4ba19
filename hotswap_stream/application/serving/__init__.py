"""Serving: circuits, their policy, and the switch that turns a model off."""
