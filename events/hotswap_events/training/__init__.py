"""Training runs: their events and commands, their progress, the policy and what starts them."""
