"""Commands about API keys, on the cluster or over the API."""
