"""Inference: the port to the models, who may ask, what tensors look like, and who works on the answers."""
