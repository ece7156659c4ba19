"""The control agents on Faust: command handling and the published registry state."""
