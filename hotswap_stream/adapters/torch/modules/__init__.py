"""Torch modules: architectures, weights in and out, datatypes, threads and memory."""
