"""Profiles of training data: sketches of given values, the event and the command."""

import base64
import struct
from collections.abc import Sequence
from typing import Any

import datasketches
import numpy as np

from hotswap_events.inference.observation import SKETCH_K
from hotswap_events.registry.profile import ModelProfiled, ProfileVersion
from hotswap_stream.domain.versions.sketch_bytes import _capacity
from tests.support.samples.registry import MODEL


def sketch_of(values: Sequence[float]) -> str:
    """As observations and profiles carry it."""
    sketch = datasketches.kll_floats_sketch(SKETCH_K)
    sketch.update(np.array(values, np.float32))
    return base64.b64encode(sketch.serialize()).decode()


def vast_sketch(levels: int = 60) -> str:
    """One value that stands for 2^(levels − 1): well formed, and merged with its like beyond 64 bits."""
    k, least = SKETCH_K, 8
    capacity = sum(max(least, _capacity(k, levels - level - 1)) for level in range(levels))
    content = struct.pack("<BBBBHBB", 5, 1, 15, 0, k, least, 0) + struct.pack("<QHBB", 2 ** (levels - 1), k, levels, 0)
    content += struct.pack(f"<{levels}I3f", *[capacity - 1] * levels, 1.0, 1.0, 1.0)
    return base64.b64encode(content).decode()


INPUT = sketch_of([number / 100 for number in range(100)])
SCORE = sketch_of([number / 200 for number in range(100, 200)])


def profiled(model_version: str = "v1", **fields: Any) -> ModelProfiled:
    defaults = {"source": "digits-train", "rows": 1_257, "sketches": {"input": INPUT, "score": SCORE}}
    return ModelProfiled(model_version=model_version, **{**defaults, **fields})


def profile(model_version: str = "v1", **attributes: Any) -> ProfileVersion:
    """`attributes` override those of `profiled` and of the command."""
    defaults: dict[str, Any] = {
        "command_id": f"profile-{model_version}",
        "actor": "alice",
        "model_name": MODEL,
        "source": "digits-train",
        "rows": 1_257,
        "sketches": {"score": SCORE, "input": INPUT},
    }
    return ProfileVersion(model_version=model_version, **{**defaults, **attributes})
