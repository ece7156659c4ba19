"""An artifact is one safetensors file with its manifest in the header.

So one SHA-256 over the file covers manifest and weights together, a write is one atomic put, and any safetensors tool
can open it. Layout: 8 bytes little-endian header length, the header (JSON), the tensors' bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

MANIFEST_KEY = "hotswap.manifest"
"""Under this key of the header's `__metadata__` stands the manifest, as JSON text."""

HEADER_BYTES_MAX = 8 * 1024 * 1024
MANIFEST_BYTES_MAX = 64 * 1024
ALIGNMENT_BYTES = 64
"""The first tensor starts on a cache line, so a mapped file can be used in place."""

_LATER_FIELDS = {
    "window": None,
    "kind": "architecture",
    "batching": "rows",
    "labels": (),
    "runtime": "",
    "package": None,
}
"""Fields of the manifest that the first release did not have, and what says nothing."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class InvalidDigestError(HotswapError):
    """A string that should be an artifact digest is not one."""


class ArtifactFormatError(HotswapError):
    """The bytes are not an artifact: no safetensors file, or its manifest is missing or wrong."""


class TensorEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor as the header of a safetensors file has it."""

    dtype: str
    shape: list[Annotated[int, Meta(ge=0)]]
    data_offsets: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]


class _Header(Struct, frozen=True):
    metadata: dict[str, str]
    tensors: dict[str, TensorEntry]
    data_start: int


class TensorPlace(Struct, frozen=True):
    """Where a tensor's bytes lie in the file, and what they are. `dtype` is safetensors' name, as "F32"."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


_RAW_HEADER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_METADATA = msgspec.json.Decoder(dict[str, str])
_TENSOR = msgspec.json.Decoder(TensorEntry)
_MANIFEST = msgspec.json.Decoder(ArtifactManifest)


def digest_hex(digest: str) -> str:
    """Return the 64 hex digits of `sha256:<hex>`.

    Raises:
        InvalidDigestError: It is any other string, so none reaches a path.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidDigestError(f"digest {digest[:100]!r} is not valid: 'sha256:' and 64 lower-case hex digits")
    return match[1]


def digest_of_artifact(content: bytes | bytearray | memoryview) -> str:
    """Return `sha256:<hex>` over the whole file. Releases the GIL."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pack_artifact(manifest: ArtifactManifest, weights: bytes) -> bytes:
    """Make one artifact file from a manifest and a safetensors file. Same manifest and weights, same bytes.

    The weights' own metadata are kept.

    Raises:
        ArtifactFormatError: The weights are no safetensors file.
    """
    header = _read_header(weights, len(weights))
    in_file_order = sorted(header.tensors.items(), key=lambda item: (item[1].data_offsets, item[0]))
    packed = artifact_header(manifest, dict(in_file_order), header.metadata)
    return b"".join((packed, memoryview(weights)[header.data_start :]))


def artifact_header(
    manifest: ArtifactManifest, tensors: Mapping[str, TensorEntry], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return what stands before the tensors' bytes in an artifact file.

    Args:
        manifest: The manifest.
        tensors: In the order of the file.
        metadata: Other metadata of the safetensors file.

    Raises:
        ArtifactFormatError: It would be too large.
    """
    text = _manifest_text(manifest)
    if len(text) > MANIFEST_BYTES_MAX:
        raise ArtifactFormatError(f"manifest has {len(text)} bytes; at most {MANIFEST_BYTES_MAX} are allowed")
    entries: dict[str, object] = {"__metadata__": dict(sorted(({**(metadata or {}), MANIFEST_KEY: text}).items()))}
    packed = msgspec.json.encode({**entries, **tensors})
    packed += b" " * (-(8 + len(packed)) % ALIGNMENT_BYTES)
    if len(packed) > HEADER_BYTES_MAX:
        raise ArtifactFormatError(f"header has {len(packed)} bytes; at most {HEADER_BYTES_MAX} are allowed")
    return len(packed).to_bytes(8, "little") + packed


def _manifest_text(manifest: ArtifactManifest) -> str:
    """Encode it; fields that came later are left out where they say nothing, so that digests stay what they were."""
    fields = msgspec.to_builtins(manifest, order="deterministic")
    for name, default in _LATER_FIELDS.items():
        if getattr(manifest, name) == default:
            del fields[name]
    return msgspec.json.encode(fields).decode()


def read_manifest(content: bytes | memoryview, size_bytes: int | None = None) -> ArtifactManifest:
    """Return the manifest of an artifact file, whose header is checked on the way.

    Args:
        content: The file, or its first `HEADER_BYTES_MAX + 8` bytes.
        size_bytes: How many bytes the file has; default: as many as `content`.

    Raises:
        ArtifactFormatError: There is none.
    """
    header = _read_header(content, len(content) if size_bytes is None else size_bytes)
    text = header.metadata.get(MANIFEST_KEY)
    if text is None:
        raise ArtifactFormatError(
            f"not an artifact: its safetensors header has no {MANIFEST_KEY!r} in __metadata__. Weights alone do not "
            "say what computes them: export the model to ONNX, or hand it to hotswap_stream.client.publish"
        )
    return decode_manifest(text)


def tensor_places(content: bytes | memoryview) -> dict[str, TensorPlace]:
    """Return tensor name → place, for any safetensors file.

    Raises:
        ArtifactFormatError: Its header does not describe its bytes.
    """
    header = _read_header(content, len(content))
    return {
        name: TensorPlace(
            tensor.dtype,
            tuple(tensor.shape),
            header.data_start + tensor.data_offsets[0],
            header.data_start + tensor.data_offsets[1],
        )
        for name, tensor in header.tensors.items()
    }


def tensor_names(content: bytes, size_bytes: int) -> frozenset[str]:
    """Return the names of the tensors of any safetensors file.

    Args:
        content: The file, or its first `HEADER_BYTES_MAX + 8` bytes.
        size_bytes: How many bytes the file has.

    Raises:
        ArtifactFormatError: Its header does not describe its bytes.
    """
    return frozenset(_read_header(content, size_bytes).tensors)


def decode_manifest(text: str | bytes) -> ArtifactManifest:
    """Decode a manifest from JSON.

    Raises:
        ArtifactFormatError: It is wrong; the message says what.
    """
    if len(text) > MANIFEST_BYTES_MAX:
        raise ArtifactFormatError(f"manifest has {len(text)} bytes; at most {MANIFEST_BYTES_MAX} are allowed")
    try:
        return _MANIFEST.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactFormatError(f"manifest cannot be read: {error}") from error


def _read_header(content: bytes | memoryview, size_bytes: int) -> _Header:
    if len(content) < 8:
        raise ArtifactFormatError(f"not a safetensors file: {size_bytes} bytes, and the header length alone takes 8")
    header_bytes = int.from_bytes(content[:8], "little")
    data_start = 8 + header_bytes
    if header_bytes > HEADER_BYTES_MAX or data_start > size_bytes:
        raise ArtifactFormatError(
            f"not a safetensors file: it claims a header of {header_bytes} bytes in {size_bytes} bytes; "
            f"at most {HEADER_BYTES_MAX} are allowed"
        )
    try:
        raw = _RAW_HEADER.decode(content[8:data_start])
        metadata = _METADATA.decode(raw.pop("__metadata__", b"{}"))
        tensors = {name: _TENSOR.decode(entry) for name, entry in raw.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactFormatError(f"not a safetensors file: its header cannot be read: {error}") from error
    _check_offsets(tensors, size_bytes - data_start)
    return _Header(metadata=metadata, tensors=tensors, data_start=data_start)


def _check_offsets(tensors: dict[str, TensorEntry], data_bytes: int) -> None:
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        start, end = tensor.data_offsets
        if start != position or end < start:
            raise ArtifactFormatError(f"tensor {name[:100]!r} lies at {start}…{end}; it should start at {position}")
        position = end
    if position != data_bytes:
        raise ArtifactFormatError(f"the header describes {position} bytes of tensors, the file holds {data_bytes}")
