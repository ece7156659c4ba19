"""Rows of one worker by a published XGBoost model, next to the library itself on whole batches in memory.

    python -m benchmarks.boosted_stream [ROWS]

A classifier of 100 trees over 30 features, published as a user would: converted, compared, tried. Requests of msgpack
wait in Kafka, four partitions; answers with all their facts; rows per second from 10 % to 100 % of them. The library
predicts the same number of rows in batches of 64, one thread, with nothing to read or write. They take turns, each with
the machine to itself.

Twice: one row a request, and eight. A row of these trees takes ONNX Runtime one microsecond and XGBoost four; reading a
request and writing its answer take the loop four, and the client of Kafka as much again, however many rows there are.
"""

import asyncio
import json
import sys
import time
from functools import partial

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_breast_cancer
from xgboost import XGBClassifier

from benchmarks.library_turns import Turns, turns
from benchmarks.serving_processes import broker_settings
from hotswap_stream import bootstrap
from hotswap_stream.client.publishing.preparing import prepared
from hotswap_stream.client.publishing.wishes import Wishes

TREES, FEATURES = 100, 30
BATCH_ROWS = 64
PARTITIONS = 4
AIM = 0.8
ROWS = {"boosted_stream": 1, "boosted_stream_eight_rows": 8}
"""Rows of one request."""


def run(count: int = 100_000) -> list[dict[str, object]]:
    """Return the medians of the rounds, rows/s."""
    features, target = load_breast_cancer(return_X_y=True)
    features = features.astype(np.float32)
    model = XGBClassifier(n_estimators=TREES, n_jobs=1).fit(features, target)
    beside = f"XGBoost itself, batches of {BATCH_ROWS} rows in memory"
    return [
        asyncio.run(_measure(model, features, count, rows)).row(name, beside, AIM, count) for name, rows in ROWS.items()
    ]


async def _measure(model: XGBClassifier, features: npt.NDArray[np.float32], count: int, rows: int) -> Turns:
    async with broker_settings(PARTITIONS) as settings:
        with prepared(model, Wishes(example=features)) as made:
            content, _tried = await bootstrap.imported_model(settings, made.file, made.beside, made.options)
        return await turns(settings, content, count, partial(_library_rate, model, count), rows=rows)


def _library_rate(model: XGBClassifier, count: int) -> float:
    batch = np.random.default_rng(0).random((BATCH_ROWS, FEATURES), np.float32)
    model.predict_proba(batch)
    began = time.perf_counter()
    for _ in range(0, count, BATCH_ROWS):
        model.predict_proba(batch)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
