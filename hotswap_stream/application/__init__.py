"""What the product does, written against ports: command handling, projections, swap, training runs."""
