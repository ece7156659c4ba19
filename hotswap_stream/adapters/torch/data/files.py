"""Data sets as `.safetensors` files: tensors `images` and `labels`, the description in the metadata. Never a pickle."""

import json
import os
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.errors import HotswapError

DESCRIPTION_KEY = "hotswap.data"
DATA_FILE_BYTES_MAX = 4 * 1024**3


class DataFileError(HotswapError):
    """The file is not a data set; the message says what it lacks."""


def save_data_file(path: Path, data: LabeledImages) -> None:
    """Write the set. A reader, or a watcher of the folder, sees the whole file or none.

    OSError if it cannot be written.
    """
    content = safetensors.torch.save(
        {"images": data.images.contiguous(), "labels": data.labels.contiguous()},
        metadata={DESCRIPTION_KEY: json.dumps(data.description, sort_keys=True)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_data_file(path: Path) -> LabeledImages:
    """Read a set written by `save_data_file`, or any safetensors file with `images` and `labels`. DataFileError."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataFileError(f"data file {path} cannot be read: {error.strerror}") from error
    if size > DATA_FILE_BYTES_MAX:
        raise DataFileError(f"data file {path} has {size} bytes; at most {DATA_FILE_BYTES_MAX} are allowed")
    try:
        with safe_open(path, framework="pt") as file:
            names = sorted(file.keys())
            if names != ["images", "labels"]:
                raise DataFileError(f"data file {path} holds tensors {names[:5]}; 'images' and 'labels' are needed")
            description = _read_description((file.metadata() or {}).get(DESCRIPTION_KEY), path)
            # Copied: a mapped file that is cut short while training runs would end the process.
            images, labels = file.get_tensor("images").clone(), file.get_tensor("labels").clone()
            return LabeledImages(images=images, labels=labels, description=description)
    except (SafetensorError, OSError) as error:
        raise DataFileError(f"data file {path} is not a safetensors file: {error}") from error
    except ValueError as error:
        raise DataFileError(f"data file {path} is not a set of digits: {error}") from error


def _read_description(text: str | None, path: Path) -> dict[str, str | int | float]:
    if text is None:
        return {"source": "file"}
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str | int | float) for value in found.values()):
        raise DataFileError(f"data file {path} has a description that is not flat: {text[:100]!r}")
    return found
