"""A runtime for a graph and its tokenizer under one digest: texts go in, scores come out, and callers need neither.

`python -m hotswap_example_plugins.reviews FILE` writes an artifact for it.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_stream.plugins import Argument, TensorSpec, pack_runtime, runtime

NAME = "example-reviews"
CLASSES = ("bad", "good")
Arrays = Mapping[str, npt.NDArray[Any]]

WORDS = {"good": 2.0, "great": 3.0, "bad": -2.0, "awful": -3.0}
"""Word → how much it speaks for the class `good`."""


@runtime(NAME)
class Reviews:
    """Tells good reviews from bad ones."""

    def load(self, files: Mapping[str, memoryview], arguments: Mapping[str, Argument]) -> None:
        """Open the graph and the tokenizer."""
        import onnxruntime

        del arguments
        self._ids: dict[str, int] = json.loads(bytes(files["tokenizer.json"]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(bytes(files["model.onnx"]), options)

    def infer(self, inputs: Arrays) -> Arrays:
        """Texts [rows] → probabilities [rows, 2]."""
        rows = [[self._ids.get(word, 0) for word in re.findall(r"\w+", text.lower())] for text in inputs["text"]]
        tokens = np.zeros((len(rows), max(1, *map(len, rows))), np.int64)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)] = ids
        (scores,) = self._session.run(["scores"], {"tokens": tokens})
        return {"scores": scores}

    def close(self) -> None:
        """Nothing is held but memory."""


def graph(weights: npt.NDArray[np.float32]) -> bytes:
    """Return a graph: tokens [rows, length] → the softmax of the sums of their weights [tokens, 2]."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gather", ["weights", "tokens"], ["each"]),
        helper.make_node("ReduceSum", ["each", "axis"], ["sums"], keepdims=0),
        helper.make_node("Softmax", ["sums"], ["scores"]),
    ]
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows", "length"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2])
    held = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1]), "axis")]
    made = helper.make_graph(nodes, "reviews", [tokens], [scores], held)
    content: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    return content


def artifact(words: Mapping[str, float] = WORDS) -> bytes:
    """Return an artifact of a graph and its tokenizer: the file for `hotswap-stream register`."""
    ids = {word: number for number, word in enumerate(sorted(words), start=1)}  # 0: a word that nobody knows
    weights = np.array([[0.0, 0.0], *([0.0, words[word]] for word in ids)], np.float32)
    return pack_runtime(
        NAME,
        {"tokenizer.json": json.dumps(ids).encode(), "model.onnx": graph(weights)},
        inputs=[TensorSpec(name="text", datatype="BYTES", shape=(-1,))],
        outputs=[TensorSpec(name="scores", datatype="FP32", shape=(-1, 2))],
        warm_up={"text": (1,)},
        labels=CLASSES,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(artifact())
