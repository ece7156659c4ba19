"""Requests: records, headers, ids and tensors."""
