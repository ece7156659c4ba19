"""A runtime: texts go in, what becomes of them comes out. Preprocessing, a vocabulary and rules, without torch.

`python -m hotswap_example_plugins.tickets FILE` writes an artifact for it.
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

NAME = "example-tickets"
Arrays = Mapping[str, npt.NDArray[Any]]

WORDS = {
    "billing": {"invoice": 2.0, "refund": 3.0, "charged": 2.0},
    "outage": {"down": 2.0, "error": 1.0, "timeout": 2.0},
}
"""Class → word → weight."""


@runtime(NAME)
class Tickets:
    """Sorts tickets by their words; what no word is known of is for people."""

    def load(self, files: Mapping[str, memoryview], arguments: Mapping[str, Argument]) -> None:
        """Read the words out of the artifact; what it lacks or has wrong is an error, and the version does not load."""
        words: dict[str, dict[str, float]] = json.loads(bytes(files["words.json"]))
        self._classes = sorted(words)
        self._vocabulary = sorted({word for of_class in words.values() for word in of_class})
        self._weights = np.array(
            [[words[name].get(word, 0.0) for name in self._classes] for word in self._vocabulary], np.float32
        )
        self._score_min = float(arguments.get("score_min") or 0.0)

    def infer(self, inputs: Arrays) -> Arrays:
        """Texts [rows] → a score for each class [rows, classes], and the class or "people" [rows]."""
        texts = inputs["text"]
        found = [re.findall(r"\w+", str(text).lower()) for text in texts]
        counts = np.array([[words.count(word) for word in self._vocabulary] for words in found], np.float32)
        scores = counts @ self._weights
        best = scores.argmax(1)
        queues = [
            self._classes[position] if scores[row, position] > self._score_min else "people"
            for row, position in enumerate(best)
        ]
        return {"scores": scores, "queue": np.array(queues, object)}

    def close(self) -> None:
        """Nothing is held but memory."""


def artifact(words: Mapping[str, Mapping[str, float]] = WORDS, *, score_min: float = 0.5) -> bytes:
    """Return an artifact of these words: the file for `hotswap-stream register`."""
    return pack_runtime(
        NAME,
        {"words.json": json.dumps(words, sort_keys=True).encode()},
        inputs=[TensorSpec(name="text", datatype="BYTES", shape=(-1,))],
        outputs=[
            TensorSpec(name="scores", datatype="FP32", shape=(-1, len(words))),
            TensorSpec(name="queue", datatype="BYTES", shape=(-1,)),
        ],
        warm_up={"text": (1,)},
        arguments={"score_min": score_min},
        labels=sorted(words),
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(artifact())
