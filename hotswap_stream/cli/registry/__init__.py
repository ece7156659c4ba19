"""Models, versions and events on the command line."""
