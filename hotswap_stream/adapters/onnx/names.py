"""Names within a bundle."""

GRAPH_FILE = "model.onnx"
"""The graph; external data are the other files, by the names the graph has for them."""
