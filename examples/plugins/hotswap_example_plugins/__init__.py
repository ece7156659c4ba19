"""An architecture and a runtime for hotswap-stream."""
