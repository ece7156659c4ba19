"""One module per framework: how its models become ONNX graphs, and what they answer before."""
