"""What fixed batch sizes cost: random numbers of rows, padded, next to the same rows in passes of just their number.

    python -m benchmarks.padding

The fills are uniform from 1 to the largest batch, which is worse than a loaded worker (full batches need no padding)
and than an idle one (single rows need none). Processor seconds of the computing thread.
"""

import asyncio
import json
import random
import tempfile
from pathlib import Path

from benchmarks.executors import BATCH_ROWS, Stage, inputs_of, seconds_of
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel

FILLS = 60
ROUNDS = 3
ARCHITECTURES = ("ffnn-784-32-32-32-10", "cnn-28")
AIM = 0.85


async def _measure(architecture: str) -> dict[str, object]:
    fills = [random.Random(seed).randint(1, BATCH_ROWS) for seed in range(FILLS)]
    with tempfile.TemporaryDirectory() as folder:
        padded = await Stage(Path(folder)).load(architecture, "auto")
        executor = padded._executor
        assert executor is not None
        exact = TorchLoadedModel(padded.manifest, executor)
        ours = copied = theirs = 0.0
        for rows in fills:
            inputs = inputs_of(padded, rows)
            seconds_of(exact, inputs)
            # As a worker does: it puts the rows into an array of the padded size to begin with.
            in_place = inputs_of(padded, padded.padded_rows(rows))
            ours += min(seconds_of(padded, in_place) for _ in range(ROUNDS))
            copied += min(seconds_of(padded, inputs) for _ in range(ROUNDS))
            theirs += min(seconds_of(exact, inputs) for _ in range(ROUNDS))
    added = sum(padded.padded_rows(rows) for rows in fills) / sum(fills)
    return {
        "name": f"padding of {architecture}",
        "ours": round(sum(fills) / ours),
        "compared_with": "passes of exactly the rows there are, each size warmed up",
        "comparison": round(sum(fills) / theirs),
        "unit": "rows/s",
        "ratio": round(theirs / ours, 3),
        "aim": f">= {AIM}",
        "holds": theirs / ours >= AIM,
        "ratio_if_padded_by_a_copy": round(theirs / copied, 3),
        "rows_computed_per_row": round(added, 3),
        "executor": padded.executor,
    }


def run() -> list[dict[str, object]]:
    """Return one result per architecture."""
    return [asyncio.run(_measure(architecture)) for architecture in ARCHITECTURES]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
