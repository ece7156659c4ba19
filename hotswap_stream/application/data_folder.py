"""Names from a request, confined to a folder."""

import re
from pathlib import Path

from hotswap_stream.errors import HotswapError

_DATA_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")


class DataFileNameError(HotswapError):
    """The name of a data file is not one, or leads out of the data folder."""


def data_file_in(folder: Path, name: str) -> Path:
    """The path of a data file directly in the folder, links followed. DataFileNameError if it is not there."""
    if not _DATA_FILE.fullmatch(name):
        raise DataFileNameError(
            f"data file name {name[:100]!r} is not valid: letters, digits, '.', '_' and '-', ending in '.safetensors'"
        )
    root = folder.resolve()
    path = (root / name).resolve()
    if path.parent != root:
        raise DataFileNameError(f"data file {name!r} leads out of the data folder")
    if not path.is_file():
        raise DataFileNameError(f"no data file {name!r} in the data folder")
    return path
