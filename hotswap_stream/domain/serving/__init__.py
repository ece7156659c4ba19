"""The rules of serving: circuits, the off switch, and which version answers."""
