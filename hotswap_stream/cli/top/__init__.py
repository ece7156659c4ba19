"""`hotswap-stream top`."""
