"""How models and processes do: shown over HTTP, asked of the cluster, looked over."""
