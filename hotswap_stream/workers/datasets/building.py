"""One dataset from its records to a file. Blocking; memory does not grow with the number of records."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.dataset import DatasetCounts, DatasetQuery
from hotswap_events.inference.messages import Datatype
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.workers.datasets.columns import Column, PackedDataset, pack_columns
from hotswap_stream.workers.datasets.labels import FeedbackRecord, Labels, Told
from hotswap_stream.workers.datasets.rows import Lack, Row, RowMaker, Rows
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, read_request

_Record = TypeVar("_Record")

REQUEST_BYTES_MAX = 16 * 1024**2
LOOK_EVERY = 4_096
_KINDS = {"label": "classification", "items": "classification", "value": "regression", "reward": "regression"}


class BuildLimits(Struct, frozen=True, kw_only=True):
    """What one build may take."""

    bytes_max: int
    """Size of the artifact."""
    seconds_max: float


class Built(Struct, frozen=True):
    """What came out."""

    file: PackedDataset
    counts: DatasetCounts


class DatasetBuilder:
    """Builds one dataset in a folder of its own, which whoever made it deletes."""

    def __init__(
        self,
        model_name: str,
        query: DatasetQuery,
        *,
        folder: Path,
        limits: BuildLimits,
        is_excluded: Callable[[Rows], bool] = lambda _row: False,
        stopped: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, int], None] = lambda _requests, _rows: None,
    ) -> None:
        self._query, self._folder, self._limits = query, folder, limits
        self._stopped, self._on_progress = stopped, on_progress
        self._maker = RowMaker(query, is_excluded)
        self._labels = Labels(folder / "labels", model_name, query)
        self._inputs = {
            name: Column(folder, number, name, spec.datatype)
            for number, (name, spec) in enumerate(self._maker.specs.items())
        }
        self._truth: Column | None = None
        self._found = dict.fromkeys(DatasetCounts.__struct_fields__, 0)
        self._ends_s = time.monotonic() + limits.seconds_max

    def build(self, requests: Callable[[], Iterable[RequestRecord]], feedback: Iterable[FeedbackRecord]) -> Built:
        """Read everything and write the artifact.

        Args:
            requests: Called once or twice; each time gives the same records, by partition and offset ascending.
            feedback: Records of the feedback topic, of any model, in any order.

        Raises:
            DatasetError: There is no row, there are too many, or one of the limits is reached.
        """
        try:
            self._labels.add_all(self._watched(feedback))
            if self._labels.name_ids:
                self._note_ids(requests())
            self._labels.settle()
            for record in self._watched(requests()):
                self._take(record)
            self._labels.end()
            counts = self.counts
            if self._truth is None or not counts.rows:
                raise DatasetError(f"there is no row to train on: {told_counts(counts)}")
            file = pack_columns(
                self._folder / "dataset",
                self._inputs,
                {self._truth.name: self._truth},
                kind=_KINDS[self._query.truth],
                rows=counts.rows,
            )
            if file.size_bytes > self._limits.bytes_max:
                raise self._too_large()
            return Built(file, counts)
        finally:
            self.close()

    @property
    def counts(self) -> DatasetCounts:
        """What was found so far."""
        labels = self._labels
        return replace(
            DatasetCounts(**self._found),
            feedback=labels.read,
            feedback_unreadable=labels.unreadable,
            feedback_repeated=labels.repeated,
            feedback_elsewhere=labels.elsewhere,
        )

    def close(self) -> None:
        """Close all files."""
        self._labels.close()
        for column in (*self._inputs.values(), *(() if self._truth is None else (self._truth,))):
            column.close()

    def _note_ids(self, records: Iterable[RequestRecord]) -> None:
        for record in self._watched(records):
            request = read_request(record, REQUEST_BYTES_MAX)
            if isinstance(request, Request) and request.body.id is not None:
                self._labels.note_id(request.body.id, record.timestamp_ms, record.partition, record.offset)

    def _take(self, record: RequestRecord) -> None:
        self._found["requests"] += 1
        told = self._told(record)
        if not told:
            self._found["unlabelled"] += 1
            return
        if self._query.truth != "items":
            different = dict.fromkeys(each.truth for each in told)
            if len(different) > 1:
                self._found["contradicting"] += 1
                if self._query.contradictions == "drop":
                    return
            told = [told[-1] if self._query.contradictions == "last" else told[0]]
        request = read_request(record, REQUEST_BYTES_MAX)
        if not isinstance(request, Request):
            self._found["unreadable"] += 1
            return
        self._write(self._maker.row(request, told))

    def _told(self, record: RequestRecord) -> Sequence[Told]:
        """Return what was told in time."""
        found = self._labels.at(record.partition, record.offset)
        latest_ms = record.timestamp_ms + self._query.label_seconds_max * 1_000
        in_time = [told for at_ms, told in found if at_ms <= latest_ms]
        self._found["feedback_late"] += len(found) - len(in_time)
        return in_time

    def _write(self, row: Row | Lack) -> None:
        if not isinstance(row, Row):
            self._found[row] += 1
            return
        truth = self._truth or self._truth_column(row)
        fits = all(column.takes(row.inputs[name]) for name, column in self._inputs.items()) and all(
            truth.takes(each) and (each.dtype.kind == "O") == (truth.datatype == "BYTES") for each in row.truths
        )
        if not fits:
            self._found["unfit"] += 1
            return
        for each in row.truths:
            for name, column in self._inputs.items():
                column.append(row.inputs[name])
            truth.append(each)
            self._found["rows"] += 1
        if self._found["rows"] > self._query.rows_max:
            raise DatasetError(
                f"there are more than {self._query.rows_max:,} rows: ask for fewer requests or for a part of them by a "
                "split, or allow more rows"
            )
        if sum(column.size_bytes for column in (*self._inputs.values(), truth)) > self._limits.bytes_max:
            raise self._too_large()

    def _truth_column(self, row: Row) -> Column:
        is_label = self._query.truth in ("label", "items")
        datatype: Datatype = "INT64" if is_label else "FP64"
        if row.truths[0].dtype.kind == "O":
            datatype = "BYTES"
        self._truth = Column(self._folder, len(self._inputs), "labels" if is_label else "target", datatype)
        return self._truth

    def _too_large(self) -> DatasetError:
        return DatasetError(
            f"the dataset would have more than {self._limits.bytes_max:,} bytes, the most that an artifact may have "
            "(HOTSWAP_ARTIFACT_BYTES_MAX): ask for fewer requests, or for a part of them by a split"
        )

    def _watched(self, records: Iterable[_Record]) -> Iterator[_Record]:
        for number, record in enumerate(records):
            if not number % LOOK_EVERY:
                if self._stopped():
                    raise DatasetError("the build was told to stop")
                if time.monotonic() > self._ends_s:
                    raise DatasetError(
                        f"the build took longer than {self._limits.seconds_max:g} s: ask for fewer requests, or allow "
                        "more time (HOTSWAP_DATASET_SECONDS_MAX)"
                    )
                self._on_progress(self._found["requests"], self._found["rows"])
            yield record


def told_counts(counts: DatasetCounts) -> str:
    """Return the counts that are not 0, in words."""
    found = {name.replace("_", " "): getattr(counts, name) for name in DatasetCounts.__struct_fields__}
    return ", ".join(f"{name} {count:,}" for name, count in found.items() if count or name in ("requests", "rows"))
