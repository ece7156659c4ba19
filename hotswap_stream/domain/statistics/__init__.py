"""Statistics that stay true however often one looks. Pure, standard library only."""
