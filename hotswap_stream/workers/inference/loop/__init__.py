"""One model's loop: partitions, where to go on, lives and their end."""
