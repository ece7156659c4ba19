"""Keys that nobody reads: in a policy, a typing error must not pass for a default.

Stored events are read with unknown fields passed over, so that a newer release may add some; what comes from outside is
held to the same classes, but strictly.
"""

from typing import Any

from msgspec import Struct


def unread_key(given: Any, read: Any, path: str = "") -> str | None:
    """Return the path of the first key of JSON-like data that is no field of the structs read from it, or None."""
    if isinstance(given, dict) and isinstance(read, Struct):
        for key, value in given.items():
            if key in read.__struct_fields__:
                if found := unread_key(value, getattr(read, key), f"{path}{key}."):
                    return found
            elif key != read.__struct_config__.tag_field:
                return f"{path}{key}"
    elif isinstance(given, list) and isinstance(read, list | tuple):
        for index, (one, other) in enumerate(zip(given, read, strict=False)):
            if found := unread_key(one, other, f"{path}{index}."):
                return found
    return None
