"""Where an operator's commands go: to the cluster itself, or to an API before it; and the contexts that choose."""
