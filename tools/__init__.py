"""Generators for what is committed but derived from the code: schemas and reference pages. Not part of the wheel."""
