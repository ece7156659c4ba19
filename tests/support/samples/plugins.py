"""Runtimes and an architecture for tests, in a module that an operator may name. Importable by other processes."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.artifacts.manifest import Argument, Batching, Package
from hotswap_stream.plugins import Runtime, Signature, TensorSpec, architecture, pack_runtime, runtime

if TYPE_CHECKING:
    from torch import nn

MODULE = __name__
Arrays = Mapping[str, "npt.NDArray[Any]"]


SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)


DIGITS = Signature(
    inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, 1, 28, 28)),),
    outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, 10)),),
    warm_up={"image": (1, 1, 28, 28)},
)


@architecture("plugged-linear", lambda: SIGNATURE)
def plugged_linear() -> "nn.Module":
    from torch import nn

    return nn.Linear(4, 2)


@architecture("plugged-digits", lambda: DIGITS)
def plugged_digits() -> "nn.Module":
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@runtime("test-texts")
class Texts(Runtime):
    """The length of each text, and the text in capitals; some words do something else.

    The file `prefix` is put before each text. Argument `without` leaves an output out, `mixes` adds the rows up.
    """

    def load(self, files: Mapping[str, memoryview], arguments: Mapping[str, Argument]) -> None:
        self.prefix = bytes(files["prefix"]).decode()
        self.arguments = dict(arguments)
        if self.prefix == "broken":
            raise RuntimeError("this prefix does not load")
        if self.prefix == "endless":
            time.sleep(3_600)

    def infer(self, inputs: Arrays) -> Arrays:
        texts = inputs["text"]
        for text in texts.ravel():
            _act(text)
        shouted = np.array([f"{self.prefix}{text}".upper() for text in texts.ravel()], object).reshape(texts.shape)
        lengths = np.array([len(text) for text in texts.ravel()], np.int64).reshape(texts.shape)
        if self.arguments.get("mixes"):
            lengths = lengths + lengths.sum()
        outputs: dict[str, npt.NDArray[Any]] = {"length": lengths, "shouted": shouted}
        if self.arguments.get("floats"):
            outputs["length"] = lengths.astype(np.float32)
        outputs.pop(str(self.arguments.get("without")), None)
        return outputs

    def close(self) -> None:
        return None


def _act(text: str) -> None:
    if text == "hang":
        while True:
            pass
    if text == "crash":
        os.abort()
    if text == "hoard":
        np.ones(2**31, np.uint8)
    if text == "wrong":
        raise ValueError("a wrong word")
    if text == "fail":
        raise RuntimeError("this runtime does not like it")
    if text == "exit":
        raise SystemExit(3)


def texts_artifact(
    prefix: str = "", *, batching: Batching = "rows", name: str = "test-texts", **arguments: Argument
) -> bytes:
    """An artifact for `test-texts`."""
    return pack_runtime(
        name,
        {"prefix": prefix.encode()},
        inputs=[TensorSpec(name="text", datatype="BYTES", shape=(-1,))],
        outputs=[
            TensorSpec(name="length", datatype="INT64", shape=(-1,)),
            TensorSpec(name="shouted", datatype="BYTES", shape=(-1,)),
        ],
        warm_up={"text": (1,)},
        arguments=arguments,
        batching=batching,
    )


def foreign_artifact() -> bytes:
    """An artifact like those of `texts_artifact`, for a runtime that nobody has, of a package that it names."""
    like = texts_artifact()
    package = Package(name="nobodys-package", version="3.1")
    return pack_files(replace(read_manifest(like), runtime="nobody-has-it", package=package), {"nothing": b"0"})
