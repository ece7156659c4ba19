"""`publish`: from a model where it was made to a version in the registry. Converters are imported only when asked."""
