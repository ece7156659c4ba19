"""Adapters: the ports of the application, each on one technology."""
