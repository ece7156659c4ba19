"""Sample records that datasets are built from: requests and feedback as they stand in their topics."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from hotswap_events.dataset import DatasetQuery, OffsetRange
from hotswap_events.inference.observation import Feedback
from hotswap_events.inference.signature import TensorSignature
from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set
from hotswap_stream.workers.datasets.building import BuildLimits, Built, DatasetBuilder
from hotswap_stream.workers.datasets.labels import FeedbackRecord
from hotswap_stream.workers.inference.requests.records import RequestRecord

MODEL = "digits"
AT = datetime(2026, 1, 2, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1_000)
LIMITS = BuildLimits(bytes_max=10_000_000, seconds_max=60.0)
_DAY_MS = 86_400_000


def request_record(
    offset: int, x: list[float] | None = None, *, partition: int = 0, request_id: str | None = None, **fields: Any
) -> RequestRecord:
    """A request of two numbers, or with `value` whatever is given as the record's bytes."""
    numbers = [float(offset), float(partition)] if x is None else x
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(numbers) // 2, 2], "data": numbers}]}
    value = fields.pop("value", msgspec.json.encode(body if request_id is None else {**body, "id": request_id}))
    at_ms = fields.pop("at_ms", AT_MS)
    return RequestRecord(f"hotswap.requests.{MODEL}", partition, offset, at_ms, None, value, [])


def feedback_record(
    number: int, request_offset: int | None = None, *, partition: int = 0, **fields: Any
) -> FeedbackRecord:
    """Feedback at offset `number` of partition 0 of its topic, a minute after the requests unless told otherwise."""
    at_ms = fields.pop("at_ms", AT_MS + 60_000)
    place: dict[str, Any] = (
        {} if request_offset is None else {"request_partition": partition, "request_offset": request_offset}
    )
    given = {"model_name": MODEL, "feedback_id": f"f-{number}", "at": AT, **place, **fields}
    return FeedbackRecord(0, number, at_ms, msgspec.json.encode(Feedback(**given)))


def build_query(**fields: Any) -> DatasetQuery:
    defaults: dict[str, Any] = {
        "ranges": (OffsetRange(partition=0, first=0, until=1_000),),
        "feedback": (OffsetRange(partition=0, first=0, until=1_000),),
        "inputs": (TensorSignature(name="x", datatype="FP32", shape=(-1, 2)),),
        "truth": "label",
    }
    return DatasetQuery(**{**defaults, **fields})


def build(
    folder: Path,
    requests: list[RequestRecord],
    feedback: list[FeedbackRecord],
    query: DatasetQuery | None = None,
    **options: Any,
) -> tuple[Built, LabelledSet]:
    """What is built, and the set in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    limits = options.pop("limits", LIMITS)
    builder = DatasetBuilder(MODEL, query or build_query(), folder=folder, limits=limits, **options)
    built = builder.build(lambda: iter(requests), iter(feedback))
    return built, unpack_set(built.file.path.read_bytes())
