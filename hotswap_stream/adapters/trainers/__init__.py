"""The trainers that come along, and the process that runs a trainer of the user's own."""
