"""The rules of what starts training runs."""
