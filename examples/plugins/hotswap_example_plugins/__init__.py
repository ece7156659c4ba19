"""An architecture, two runtimes and an evaluator for hotswap-stream."""
