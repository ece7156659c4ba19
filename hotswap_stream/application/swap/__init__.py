"""The swap: which versions a worker holds, and how one takes the place of another."""
