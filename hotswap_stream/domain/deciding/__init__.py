"""What all rules share: decisions, refusals, legal steps and limits."""
