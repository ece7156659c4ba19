"""Whatever the manifest and wherever the damage: artifacts round-trip, and damage never gets past the digest."""

import asyncio
from contextlib import suppress

import numpy
import obstore
import obstore.store
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore, path_of
from hotswap_stream.application.artifacts.file import (
    ArtifactFormatError,
    decode_manifest,
    digest_of_artifact,
    pack_artifact,
    read_manifest,
)
from hotswap_stream.application.artifacts.manifest import INTEGER_MAX, ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.store import DigestMismatchError
from tests.support.samples.artifacts import linear_artifact, linear_manifest, linear_weights

NAMES = st.text("aZ_", min_size=1, max_size=2) | st.text("a.-_9", max_size=6).map(lambda rest: f"x{rest}")
IDENTIFIERS = st.text("ab_", min_size=1, max_size=4)
SIZES = st.integers(1, 6)
ARGUMENTS = st.dictionaries(
    IDENTIFIERS,
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50),
    max_size=5,
)


@st.composite
def tensor_specs(draw: st.DrawFn, name: str) -> TensorSpec:
    shape = draw(st.lists(st.just(-1) | SIZES, min_size=1, max_size=4))
    return TensorSpec(name=name, datatype=draw(st.sampled_from(["FP32", "INT64", "BOOL", "UINT8"])), shape=tuple(shape))


@st.composite
def manifests(draw: st.DrawFn) -> ArtifactManifest:
    inputs = tuple(draw(tensor_specs(name)) for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    outputs = tuple(draw(tensor_specs(name)) for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    return ArtifactManifest(
        architecture=draw(st.text("a-._9", max_size=6).map(lambda rest: f"a{rest}")),
        arguments=draw(ARGUMENTS),
        inputs=inputs,
        outputs=outputs,
        warm_up={spec.name: tuple(draw(SIZES) if size == -1 else size for size in spec.shape) for spec in inputs},
        allow_non_finite=draw(st.booleans()),
    )


@given(manifests())
def test_a_manifest_comes_back_from_an_artifact_as_it_was(manifest: ArtifactManifest) -> None:
    artifact = pack_artifact(manifest, linear_weights())
    found = read_manifest(artifact)
    assert found == manifest
    assert [(name, type(value)) for name, value in sorted(found.arguments.items())] == [
        (name, type(value)) for name, value in sorted(manifest.arguments.items())
    ]
    # Packed again, with another manifest in it already, the bytes are the same: the digest names the content alone.
    assert pack_artifact(manifest, artifact) == artifact


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(["float32", "int64", "uint8"]), st.lists(st.integers(0, 4), max_size=3)),
        max_size=5,
    )
)
def test_packing_keeps_the_tensors_and_any_safetensors_reader_finds_them(
    tensors: dict[str, tuple[str, list[int]]],
) -> None:
    arrays = {
        name: numpy.arange(numpy.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        for name, (dtype, shape) in tensors.items()
    }
    found = safetensors.numpy.load(pack_artifact(linear_manifest(), safetensors.numpy.save(arrays)))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        numpy.testing.assert_array_equal(found[name], array)


@given(st.data())
def test_one_changed_byte_anywhere_is_found(data: st.DataObject) -> None:
    content = linear_artifact()
    position = data.draw(st.integers(0, len(content) - 1))
    change = data.draw(st.integers(1, 255))
    damaged = content[:position] + bytes([content[position] ^ change]) + content[position + 1 :]

    async def put_damage_and_fetch() -> None:
        backend = obstore.store.MemoryStore()
        store = ObstoreArtifactStore(backend, "memory", 1024**2)
        facts = await store.put_artifact(content)
        obstore.put(backend, path_of(facts.digest), damaged)
        with pytest.raises(DigestMismatchError) as raised:
            await store.fetch(facts.digest)
        assert raised.value.found == digest_of_artifact(damaged)

    asyncio.run(put_damage_and_fetch())


@given(st.data())
def test_a_damaged_header_is_read_or_refused_but_never_breaks_the_reader(data: st.DataObject) -> None:
    content = bytearray(linear_artifact())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ArtifactFormatError):
        read_manifest(bytes(content))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_artifact_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactFormatError):
        read_manifest(content)
    with pytest.raises(ArtifactFormatError):
        pack_artifact(linear_manifest(), content)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_text_that_is_no_manifest_is_refused(text: bytes | str) -> None:
    with pytest.raises(ArtifactFormatError, match="manifest cannot be read"):
        decode_manifest(text)
