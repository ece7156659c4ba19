"""One stream with all that changes: state, events, what is answered, what rollouts show."""
