"""How far the agents have come: what they read, what they have in hand, and whether they stand still."""
