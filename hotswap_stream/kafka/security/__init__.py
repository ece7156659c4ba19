"""Who we are for the cluster, whom we trust, and what is said when one of the two does not hold."""
