"""Uploads: files that come in pieces and are kept in a folder until a model is made of them."""
