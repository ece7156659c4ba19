"""What observing costs an answer, and how large the records of a second are, at 1 k, 10 k and 50 k answers a second.

    python -m benchmarks.observation_cost [SECONDS]

Batches of ten-class answers, of the size they have at that traffic, go through the observer as in the hot loop; each
second's worth of them becomes one record. The comparison is all the time that one core has for an answer at that
traffic; `writing_us` is what turning the same answers into bytes takes, next to reading, decoding, computing, sending.

Then what the agents do with a record for the alerts: counting it in the windows of the default rules, sketches for
drift included, next to decoding it, which they do anyway; and making all figures of a model whose windows are full,
which they do about thirty times in a window's length.
"""

import json
import sys
import time
from datetime import UTC, datetime
from statistics import median
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import Struct

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferRequest, InferTensor
from hotswap_events.inference.observation import Observation
from hotswap_stream.application.alerts.figures import Measured, Reference, window_figure
from hotswap_stream.application.alerts.window import METRICS_OF_NOW, AlertWindows
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from hotswap_stream.workers.inference.answers.writer import AnswerWriter
from hotswap_stream.workers.inference.batches.batches import Batch, Group
from hotswap_stream.workers.inference.batches.computed import ComputedBatch, ComputedGroup
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request

BATCH_OF = {1_000: 2, 10_000: 16, 50_000: 64}
"""Answers a second → requests in a batch."""
PIXELS, CLASSES = 784, 10
COST_AIM = 0.05
SIZE_AIM = 1.5
ALERT_FOLD_US_AIM = 100


class _Model(Struct, frozen=True):
    manifest: ArtifactManifest = ArtifactManifest(
        architecture="ffnn",
        inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, PIXELS)),),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, CLASSES)),),
        warm_up={"image": (1, PIXELS)},
    )
    executor: str = "onnxruntime"

    def padded_rows(self, rows: int) -> int:
        return rows


def batches_of(batch_size: int, count: int) -> list[ComputedBatch]:
    """Return answered batches, msgpack requests of one row each; no two are alike."""
    random = np.random.default_rng(0)
    lease = Lease("v1", "sha256:" + "0" * 64, 7, cast("Any", _Model()))
    found = []
    for number in range(count):
        inputs = random.random((batch_size, PIXELS), dtype=np.float32)
        now_ms = int(time.time() * 1000)
        requests = [
            Request(
                RequestRecord("t", number % 8, number * batch_size + row, now_ms - row % 5, None, b"", []),
                InferRequest(
                    inputs=[InferTensor(name="image", shape=[1, PIXELS], datatype="FP32", data=b"")],
                    id=f"{number}-{row}",
                ),
                True,
                None,
            )
            for row in range(batch_size)
        ]
        group = Group(lease, requests, list(range(batch_size)), [1] * batch_size, {"image": inputs})
        computed = ComputedGroup(
            group,
            outputs={"scores": random.random((batch_size, CLASSES), dtype=np.float32)},
            failures={},
            by_input=frozenset(),
            started_ms=now_ms + 1.0,
            compute_ms=float(random.lognormal(0.0, 0.3)),
            executor=None,
        )
        found.append(ComputedBatch(Batch(list(requests), [group], {}, []), [computed], computed.compute_ms))
    return found


def _observation() -> Observation:
    """Return the observation of a second with 1,000 answers."""
    observer = Observer("ffnn", "w1", "run")
    for batch in batches_of(2, 500):
        observer.observe(batch)
    [record] = observer.drain()
    return record


def _alerts() -> tuple[float, float, float]:
    """Return the µs of decoding a record, of counting it for the alerts, and of judging a model once."""
    record, rules = _observation(), [each for each in DEFAULT_ALERT_POLICY.rules if each.metric not in METRICS_OF_NOW]
    reference = Reference("v1", {name: Sketch(encoded) for name, encoded in record.sketches.items()})
    names = reference.names("input-drift")
    windows, value = AlertWindows(rules), msgspec.json.encode(record)
    # Ten minutes of two workers.
    records = [
        (msgspec.structs.replace(record, worker_run=f"run-{worker}", sequence=second + 1), 1000 * second)
        for second in range(600)
        for worker in range(2)
    ]
    decoder = msgspec.json.Decoder(Observation)
    began = time.thread_time()
    for _record in records:
        decoder.decode(value)
    decoding = time.thread_time() - began
    began = time.thread_time()
    for each, at_ms in records:
        windows.fold(each, at_ms, lambda: names)
    folding = time.thread_time() - began
    looks = 100
    began = time.thread_time()
    for _look in range(looks):
        figures = [window_figure(rule, windows, reference, now_ms=600_000) for rule in rules]
    judging = time.thread_time() - began
    assert all(isinstance(figure, Measured) for figure in figures)
    return decoding / len(records) * 1e6, folding / len(records) * 1e6, judging / looks * 1e6


def _second(answers_s: int) -> tuple[float, float, int]:
    """Return the processor seconds of observing a second's answers, of writing them, and the record's bytes."""
    batch_size = BATCH_OF[answers_s]
    observer, writer = Observer("ffnn", "w1", "run"), AnswerWriter("ffnn", "w1", AnswerTags("hotswap").of("ffnn"))
    observing = writing = 0.0
    left = answers_s // batch_size
    while left > 0:
        # A few at a time, so that the inputs of a second need not all be in memory.
        batches = batches_of(batch_size, min(left, 200))
        left -= len(batches)
        began = time.thread_time()
        for batch in batches:
            observer.observe(batch)
        observing += time.thread_time() - began
        began = time.thread_time()
        for batch in batches:
            writer.write(batch)
        writing += time.thread_time() - began
    began = time.thread_time()
    records = observer.drain()
    value = b"".join(msgspec.json.encode(record) for record in records)
    observing += time.thread_time() - began
    assert sum(record.answers for record in records) == answers_s // batch_size * batch_size
    assert records[0].until > records[0].since > datetime(2020, 1, 1, tzinfo=UTC)
    return observing, writing, len(value)


def run(seconds: int = 5) -> list[dict[str, object]]:
    """Return medians over the seconds: µs per answer, and bytes per record."""
    results: list[dict[str, object]] = []
    sizes: dict[int, float] = {}
    _second(1_000)
    for answers_s in BATCH_OF:
        rounds = [_second(answers_s) for _ in range(seconds)]
        ours = median(observing for observing, _, _ in rounds) / answers_s * 1e6
        theirs = median(writing for _, writing, _ in rounds) / answers_s * 1e6
        ratio = ours * answers_s / 1e6
        sizes[answers_s] = median(size for _, _, size in rounds)
        results.append(
            {
                "name": f"observation_cost at {answers_s:,} answers/s",
                "ours": round(ours, 3),
                "compared_with": "all of one core",
                "comparison": round(1e6 / answers_s, 3),
                "unit": "µs an answer",
                "ratio": round(ratio, 4),
                "aim": f"<= {COST_AIM}",
                "holds": ratio <= COST_AIM,
                "writing_us": round(theirs, 3),
                "requests_in_a_batch": BATCH_OF[answers_s],
            }
        )
    least, most = min(BATCH_OF), max(BATCH_OF)
    ratio = sizes[most] / sizes[least]
    results.append(
        {
            "name": f"observation size at {most:,} answers/s",
            "ours": round(sizes[most]),
            "compared_with": f"at {least:,} answers/s",
            "comparison": round(sizes[least]),
            "unit": "bytes a second and version",
            "ratio": round(ratio, 3),
            "aim": f"<= {SIZE_AIM}",
            "holds": ratio <= SIZE_AIM,
        }
    )
    decoding, folding, judging = _alerts()
    results.append(
        {
            "name": "alerts, an observation",
            "ours": round(folding, 1),
            "compared_with": "decoding it",
            "comparison": round(decoding, 1),
            "unit": "µs",
            "ratio": round(folding / decoding, 2),
            "aim": f"<= {ALERT_FOLD_US_AIM} µs: half of what Faust takes for a message",
            "holds": folding <= ALERT_FOLD_US_AIM,
            "figures_us_a_model": round(judging, 1),
        }
    )
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2, ensure_ascii=False))
