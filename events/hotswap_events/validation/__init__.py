"""What versions are measured on before they may be promoted: the policy, the labelled set, and the commands."""
