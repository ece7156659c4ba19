"""Models, versions and events over HTTP."""
