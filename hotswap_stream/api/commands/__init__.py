"""What all HTTP commands have in common."""
