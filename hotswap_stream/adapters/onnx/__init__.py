"""ONNX graphs: what they take and return, whether they hold, and ONNX Runtime that computes them. No torch."""
