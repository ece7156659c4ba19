"""Texts that others wrote, made fit for one line of a terminal."""

TEXT_CHARACTERS_MAX = 200


def shortened(text: str) -> str:
    """Return at most 200 characters of the text; "…" says that more was cut off."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"


def printable(text: str) -> str:
    """Return the text on one line, with nothing in it that a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
