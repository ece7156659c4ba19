"""Events in a few words for people."""
