"""A watched folder: files that people and programs drop, each taken once, when it is whole."""
