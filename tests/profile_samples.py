"""Profiles of training data: sketches of given values, the event and the command."""

import base64
from collections.abc import Sequence
from typing import Any

import datasketches
import numpy as np

from hotswap_events.observation import SKETCH_K
from hotswap_events.profile import ModelProfiled, ProfileVersion
from tests.registry_samples import MODEL


def sketch_of(values: Sequence[float]) -> str:
    """As observations and profiles carry it."""
    sketch = datasketches.kll_floats_sketch(SKETCH_K)
    sketch.update(np.array(values, np.float32))
    return base64.b64encode(sketch.serialize()).decode()


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
