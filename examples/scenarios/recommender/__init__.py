"""Films for people: a recommender whose versions are gated by HR@10, sent on by clicks, and taken back at once."""
