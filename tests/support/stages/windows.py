"""Series for a model that takes windows, and what a worker that never stopped would answer.

`forecaster` with zero weights answers the mean of the window. Steps are whole numbers by chance and windows have few of
them, so the mean is exact, and hardly two windows have the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from torch import nn

from hotswap_events import headers as header_names
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from tests.support.stages.serving import Stage, body

STEPS = 4
STEP_LIMIT = 2**20
"""Sums of four steps up to it are exact in FP32."""


def mean_artifact(steps: int = STEPS, seed: int = 0) -> bytes:
    """An artifact that forecasts the mean of the last `steps` steps; other seeds make other digests."""
    module = build_module("forecaster", {"history": steps, "ahead": 1})
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    # A weight that is multiplied by the zeros behind it
    nn.init.constant_(module.get_submodule("bent.0").bias, float(seed))  # type: ignore[arg-type]
    return save_module(module, manifest_of("forecaster", {"history": steps, "ahead": 1}))


def steps_body(steps: Sequence[float], request_id: str | None = None, **changes: Any) -> bytes:
    """A right request with these steps, or one made wrong."""
    shape = [len(steps), 1]
    tensor = {"name": "history", "shape": shape, "datatype": "FP32", "data": list(steps)} | changes
    return msgspec.json.encode({"id": request_id, "inputs": [tensor]})


class Series:
    """Sends steps of many series, and knows what must be answered. `steps`: the version takes."""

    def __init__(self, stage: Stage, steps: int = STEPS) -> None:
        self.steps = steps
        self.expected: defaultdict[int, list[float | int]] = defaultdict(list)
        """Partition → for each answer the mean (a float), or how many steps there are (an int)."""
        self._stage = stage
        self._windows: defaultdict[str, list[float]] = defaultdict(list)
        self._random = np.random.default_rng(7)

    async def send(self, key: str, count: int = 1, *, partition: int = 0) -> None:
        """The next `count` steps of one series."""
        steps = [float(value) for value in self._random.integers(1, STEP_LIMIT, count)]
        window = self._windows[key]
        window.extend(steps)
        enough = len(window) >= self.steps
        mean = float(np.mean(np.array(window[-self.steps :], "<f4"))) if enough else 0.0
        self.expected[partition].append(mean if enough else len(window))
        headers = [(header_names.ROUTING_KEY, key.encode())]
        await self._stage.send(steps_body(steps), partition=partition, headers=headers)

    async def check(self, partitions: Sequence[int] = (0, 1)) -> list[dict[str, Any]]:
        """All answers are there, each once, in order and right."""
        found: list[dict[str, Any]] = []
        for partition in partitions:
            expected = self.expected[partition]
            if not expected:
                continue
            answers = await self.valid_answers(partition, len(expected))
            wrong = [
                (answer["parameters"], said(answer), wanted)
                for answer, wanted in zip(answers, expected, strict=True)
                if said(answer) != wanted
            ]
            assert not wrong, wrong[:5]
            found += answers
        return found

    async def valid_answers(self, partition: int, count: int) -> list[dict[str, Any]]:
        """The first `count` that are not void."""
        wanted, highest = count, -1
        while True:
            records = await self._stage.answers(wanted, partition=partition)
            valid = []
            highest = -1
            for record in records:
                answer = body(record)
                if answer["parameters"]["request_offset"] > highest:
                    highest = answer["parameters"]["request_offset"]
                    valid.append(answer)
            if len(valid) >= count:
                return valid[:count]
            wanted += count - len(valid)


def said(answer: dict[str, Any]) -> float | int | str:
    """The forecast, or how many steps there are, or the error."""
    if "error" in answer:
        return str(answer["error_code"])
    window = answer["parameters"]["window"]
    assert window["ready"] == bool(answer["outputs"])
    return float(answer["outputs"][0]["data"][0]) if window["ready"] else int(window["steps"])
