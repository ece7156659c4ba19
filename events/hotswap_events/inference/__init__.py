"""Requests and answers, what they consist of, and what workers say of themselves and of their answers."""
