"""The rules of versions: validation, profiles and how long artifacts stay."""
