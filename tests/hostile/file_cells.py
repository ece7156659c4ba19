"""Files that come from elsewhere: artifacts that are none, and settings that make no sense."""

import json
import math
import struct
from random import Random
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

from msgspec import Struct

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import PREFIX, Settings, load_settings
from tests.support.stages.serving import artifact_answering

ARTIFACTS, SETTINGS = "artifacts", "settings"


class FileCell(Struct, frozen=True, kw_only=True):
    """One file, or one setting."""

    place: str
    name: str
    kind: str
    way: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}, {self.kind} ({self.way})"


def artifact_cells() -> list[FileCell]:
    """Artifacts whose bytes are what was registered, and no model."""
    return [FileCell(place=ARTIFACTS, name="safetensors", kind=kind, way=way) for kind, way in _artifacts()]


def artifact_of(cell: FileCell, number: int) -> bytes:
    """Its bytes; `number` makes each digest another one."""
    return _artifacts(number)[cell.kind, cell.way]


def _artifacts(number: int = 0) -> dict[tuple[str, str], bytes]:
    good = artifact_answering(float(number))
    length = struct.unpack("<Q", good[:8])[0]
    header, rest = good[8 : 8 + length], good[8 + length :]
    unique = b"%d" % number

    def file(text: bytes, size: int | None = None) -> bytes:
        return struct.pack("<Q", len(text) if size is None else size) + text + rest + unique

    tensor = {"w": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}}
    outside = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [2**40, 2**40 + 4]}}
    return {
        ("empty", "no header"): b"\0" * 8 + unique,
        ("huge", "a header of 2^63 bytes"): file(header, 2**63),
        ("huge", "a header of 50 MB"): file(b"{" + b" " * 50_000_000 + b"}"),
        ("huge", "a tensor of 2^62 numbers"): file(json.dumps(tensor).encode()),
        ("deep", "header"): file(b'{"a":' * 30_000),
        ("wrong type", "a zip"): b"PK\3\4" + unique * 100,
        ("wrong type", "a pickle"): b"\x80\x04cos\nsystem\n(S'true'\ntR." + unique,
        ("wrong type", "no manifest"): file(b"{}"),
        ("extreme number", "offsets outside"): file(json.dumps(outside).encode()),
        ("not UTF-8", "header"): file(b"\xff" * 100),
        ("corrupt compression", "cut in the middle"): good[: len(good) // 2] + unique,
        ("corrupt compression", "noise"): Random(number).randbytes(4_096),
    }


def settings_cells() -> list[FileCell]:
    """Each setting with values that it cannot have."""
    names = Settings.__struct_fields__
    return [FileCell(place=SETTINGS, name=name, kind=kind, way=way) for name in names for kind, way in _VALUES]


_VALUES = {
    ("empty", "a blank"): " ",
    ("huge", "100 KB"): "x" * 100_000,
    ("wrong type", "a word"): "seventeen",
    ("wrong type", "a URL"): "tcp://10.0.0.1:8000",
    ("extreme number", "10^30"): "1" + "0" * 30,
    ("extreme number", "1e308"): "1e308",
    ("extreme number", "-1"): "-1",
    ("NaN", "nan"): "nan",
    ("not UTF-8", "lone surrogate"): "\udcff",
}


def wrong_with_setting(cell: FileCell) -> str | None:
    """What is wrong with how the setting is read: it is taken, or refused in words that name it."""
    name = f"{PREFIX}{cell.name.upper()}"
    try:
        settings = load_settings({name: _VALUES[cell.kind, cell.way]})
    except ConfigurationError as error:
        return None if cell.name in str(error).lower() else f"the refusal does not name it: {error}"
    except Exception as error:  # noqa: BLE001 - anything else is what is looked for
        return f"{type(error).__name__}: {error}"
    kind = get_type_hints(Settings)[cell.name]
    numbers = {int, float} & {kind, *(get_args(kind) if get_origin(kind) in (UnionType, Literal) else ())}
    value = getattr(settings, cell.name)
    if numbers and isinstance(value, float) and math.isnan(value):
        return f"it is taken as {value}"
    return None
