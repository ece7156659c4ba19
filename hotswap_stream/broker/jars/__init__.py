"""The broker's jars: which, from where, and kept where."""
