"""Files of any format as one artifact: each is a tensor of bytes in the artifact's safetensors file.

So a graph, and whatever files stand beside it, are under one digest, the same files give the same bytes, and reading
one is reading a slice. A file's name is a key and nothing else: nothing is ever written under it.
"""

import re
from collections.abc import Collection, Mapping

import msgspec

from hotswap_stream.application.artifacts.file import ArtifactFormatError, pack_artifact, tensor_places
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

FILES_MAX = 256
FILE_PREFIX = "file/"
"""How the tensors' names begin."""

_NAME = re.compile(r"(?!\.)[A-Za-z0-9_.+-]{1,128}(/(?!\.)[A-Za-z0-9_.+-]{1,128}){0,7}")


def pack_files(manifest: ArtifactManifest, files: Mapping[str, bytes]) -> bytes:
    """Make an artifact of a manifest and files by their names; same manifest and files, same bytes.

    Raises:
        ArtifactFormatError: There are none or too many, or a name is not a plain relative one.
    """
    check_names(files)
    header: dict[str, object] = {}
    parts: list[bytes] = []
    position = 0
    for name in sorted(files):
        content = files[name]
        header[FILE_PREFIX + name] = {
            "dtype": "U8",
            "shape": [len(content)],
            "data_offsets": [position, position + len(content)],
        }
        parts.append(content)
        position += len(content)
    encoded = msgspec.json.encode(header)
    return pack_artifact(manifest, b"".join((len(encoded).to_bytes(8, "little"), encoded, *parts)))


def check_names(names: Collection[str]) -> None:
    """Raise ArtifactFormatError if there are none or too many, or one is not a plain relative one."""
    if not 1 <= len(names) <= FILES_MAX:
        raise ArtifactFormatError(f"a bundle of {len(names)} files; 1 to {FILES_MAX} are allowed")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ArtifactFormatError(
                f"file name {name[:200]!r} is not valid in a bundle: letters, digits and '_.+-' in at most 8 parts "
                "that begin with no '.', with '/' between them"
            )


def files_of(content: bytes | memoryview) -> dict[str, memoryview]:
    """Return name → bytes of the files of an artifact, in place.

    Raises:
        ArtifactFormatError: It is no bundle.
    """
    view = memoryview(content)
    files: dict[str, memoryview] = {}
    for key, place in tensor_places(content).items():
        name = key.removeprefix(FILE_PREFIX)
        if name == key or place.dtype != "U8" or not _NAME.fullmatch(name):
            raise ArtifactFormatError(f"tensor {key[:200]!r} is no file of a bundle")
        files[name] = view[place.start : place.end]
    if not 1 <= len(files) <= FILES_MAX:
        raise ArtifactFormatError(f"a bundle of {len(files)} files; 1 to {FILES_MAX} are allowed")
    return files
