"""What starts training runs, on the command line."""
