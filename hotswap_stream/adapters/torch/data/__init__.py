"""Labelled data: files, the bundled digits, and data that are bad on purpose."""
