"""TOML and JSON files that commands read; an error says where it is."""

import tomllib
from pathlib import Path
from typing import Any

import typer

FILE_BYTES_MAX = 262_144


def read_document(file: Path, known: set[str]) -> dict[str, Any]:
    """Read a TOML or JSON file.

    Args:
        file: At most `FILE_BYTES_MAX` bytes; JSON where its name ends in .json.
        known: The keys that somebody reads.

    Raises:
        typer.BadParameter: It is no such file, or has another key.
    """
    import msgspec

    if file.stat().st_size > FILE_BYTES_MAX:
        raise typer.BadParameter(f"{file} has more than {FILE_BYTES_MAX} bytes")
    try:
        text = file.read_text(encoding="utf-8")
        document = msgspec.json.decode(text) if file.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} is neither TOML nor, as .json, JSON: {error}") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file}: an object is needed")
    if unknown := sorted(set(document) - known):
        raise typer.BadParameter(f"{file}: {', '.join(unknown)} is unknown; there is {', '.join(sorted(known))}")
    return document


def converted(value: Any, wanted: Any, *, where: str) -> Any:
    """Convert a value of a document to a type.

    Args:
        value: What the document holds.
        wanted: The type, with its bounds.
        where: Names the value in errors.

    Raises:
        typer.BadParameter: It does not fit, or has a key that nobody reads.
    """
    import msgspec

    from hotswap_stream.application.unread_keys import unread_key

    try:
        made = msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{where}: {error}") from None
    if unread := unread_key(value, made):
        raise typer.BadParameter(f"{where}: {unread} is unknown")
    return made
