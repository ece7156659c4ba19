"""What starts training runs, by HTTP."""
