"""Runs that are done elsewhere: where they report, who is asked by webhook, Jobs of Kubernetes."""
