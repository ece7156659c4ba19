"""Java's `.properties` format, which both Kafka and java.util.logging read as ISO 8859-1."""

from collections.abc import Mapping


def render_properties(values: Mapping[str, object]) -> str:
    """Write one `key=value` line each, escaped so that every path survives; booleans as `true` and `false`."""
    return "".join(f"{_escape(key, is_key=True)}={_escape(_text(value))}\n" for key, value in values.items())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escape(text: str, *, is_key: bool = False) -> str:
    escaped = []
    for position, character in enumerate(text):
        if character in "\\" or (is_key and character in ":=# !") or (character == " " and position == 0):
            escaped.append("\\" + character)
        elif " " <= character <= "~":
            escaped.append(character)
        else:
            utf16 = character.encode("utf-16-be")
            escaped += [f"\\u{utf16[at]:02x}{utf16[at + 1]:02x}" for at in range(0, len(utf16), 2)]
    return "".join(escaped)
