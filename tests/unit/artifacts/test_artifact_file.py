"""The artifact file and its manifest: what is refused, and with which words."""

import json
import math
from typing import Any

import msgspec
import pytest

from hotswap_stream.application.artifacts.file import (
    ALIGNMENT_BYTES,
    ArtifactFormatError,
    decode_manifest,
    digest_of_artifact,
    pack_artifact,
    read_manifest,
)
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from tests.support.samples.artifacts import linear_artifact, linear_manifest, linear_weights


def _manifest_json(**changes: object) -> bytes:
    fields: dict[str, Any] = json.loads(msgspec.json.encode(linear_manifest()))
    return json.dumps({**fields, **changes}).encode()


def _file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_the_layout_is_fixed_for_ever() -> None:
    """The same manifest and weights get the same digest from every release."""
    weights = _file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0\0\x80?")
    assert digest_of_artifact(pack_artifact(linear_manifest(), weights)) == (
        "sha256:e73ead778dc275c7d9fffe383abfa17b1860e97665cc9f8457cdc66864892a6d"
    )


def test_tensors_start_on_a_cache_line() -> None:
    content = linear_artifact()
    assert (8 + int.from_bytes(content[:8], "little")) % ALIGNMENT_BYTES == 0


def test_other_metadata_of_the_weights_are_kept() -> None:
    weights = _file({"__metadata__": {"format": "pt", "made by": "someone"}})
    content = pack_artifact(linear_manifest(), weights)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"].keys() == {"format", "made by", "hotswap.manifest"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes, and the header length alone takes 8"),
        (b"\xff" * 20, "claims a header of"),
        ((100).to_bytes(8, "little") + b"{}", "claims a header of 100 bytes in 10 bytes"),
        (_file(b"{"), "header cannot be read"),
        (_file(b"[]"), "header cannot be read"),
        (_file(b"[" * 5_000), "header cannot be read"),
        (_file({"__metadata__": {"a": 1}}), "header cannot be read"),
        (_file({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}), "header cannot be read"),
        (_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}), "describes 4 bytes of tensors"),
        (_file({}, b"rest"), "describes 0 bytes of tensors, the file holds 4"),
        (_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"x" * 8), "should start at 0"),
        (_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"x" * 4), "should start at 0"),
        (_file({"__metadata__": {"hotswap.manifest": "{}"}}), "manifest cannot be read"),
        (_file({"__metadata__": {"hotswap.manifest": " " * 65_537}}), "manifest has 65537 bytes"),
        (linear_weights(), "has no 'hotswap.manifest'"),
    ],
)
def test_what_is_no_artifact_is_refused_with_the_reason(content: bytes, words: str) -> None:
    with pytest.raises(ArtifactFormatError) as raised:
        read_manifest(content)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "../linear"}, "architecture name '../linear' is not valid"),
        ({"architecture": "os.system('x')"}, "is not valid"),
        ({"arguments": {"a b": 1}}, "argument name 'a b' is not valid"),
        ({"arguments": {"x": [1]}}, "arguments"),
        ({"arguments": {"x": 2**60}}, "at most 2**53"),
        ({"arguments": {"x": "y" * 2_000}}, "2000 characters"),
        ({"arguments": {f"x{i}": i for i in range(65)}}, "65 arguments"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": []}]}, "does not fit input 'x' of shape []"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [0]}]}, "shape [0] of tensor 'x' is not valid"),
        ({"inputs": [{"name": "x\n", "datatype": "FP32", "shape": [1]}]}, "tensor name 'x\\n' is not valid"),
        ({"inputs": [{"name": "x", "datatype": "TEXT", "shape": [1]}]}, "TEXT"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1]}] * 2}, "name a tensor twice"),
        ({"warm_up": {}}, "warm_up names []"),
        ({"warm_up": {"x": [1, 5]}}, "does not fit input 'x'"),
        ({"warm_up": {"x": [-1, 4]}}, "does not fit input 'x'"),
        ({"warm_up": {"x": [2**40, 4]}}, "elements"),
        ({"format_version": 2}, "format_version"),
        ({"code": "print()"}, "unknown field"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_reason(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ArtifactFormatError) as raised:
        decode_manifest(_manifest_json(**changes))
    assert words in str(raised.value)


def test_an_argument_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is nan; a finite number is needed"):
        msgspec.structs.replace(linear_manifest(), arguments={"x": math.nan})


@pytest.mark.parametrize(
    ("shape", "concrete", "fits"),
    [
        ((-1, 4), (0, 4), True),
        ((-1, 4), (7, 4), True),
        ((-1, 4), (7, 5), False),
        ((-1, 4), (4,), False),
        ((3,), (3,), True),
    ],
)
def test_shapes(shape: tuple[int, ...], concrete: tuple[int, ...], fits: bool) -> None:
    assert TensorSpec(name="x", datatype="FP32", shape=shape).fits(concrete) is fits


def test_a_manifest_needs_nothing_but_what_has_no_default() -> None:
    text = b'{"architecture":"a","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],"warm_up":{"x":[1]},'
    found = decode_manifest(text + b'"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}')
    spec = TensorSpec(name="x", datatype="FP32", shape=(-1,))
    assert found == ArtifactManifest(
        architecture="a", inputs=(spec,), outputs=(msgspec.structs.replace(spec, name="y"),), warm_up={"x": (1,)}
    )
