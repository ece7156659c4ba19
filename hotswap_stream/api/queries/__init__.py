"""What all queries have in common: what has not changed is not sent again, and one reads what one has written."""
