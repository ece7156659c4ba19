"""What is said of a metric, and a metric with its figures."""

from collections.abc import Iterable
from typing import Literal, NewType

from msgspec import Struct

Kind = Literal["gauge", "counter", "histogram"]
Source = Literal["api", "worker", "agents"]
"""The process whose `/metrics` shows it."""

Labels = NewType("Labels", str)
"""Values of a metric's labels as they stand between the braces of a line, from `MetricSpec.labelled`."""


class MetricSpec(Struct, frozen=True, kw_only=True):
    """One metric. `name` is as Prometheus shows it, so counters end in `_total`."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    unit: str = ""
    """Of its value, or of what a histogram holds; empty for plain numbers."""
    sources: tuple[Source, ...] = ("api",)
    bounds: tuple[float, ...] = ()
    """Upper ends of a histogram's buckets, ascending; the one that holds everything is not named."""
    documentation: str

    def labelled(self, *values: str) -> Labels:
        """Return the labels with these values, in their order."""
        return Labels(
            ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(self.labels, values, strict=True)])
        )


class Distribution(Struct, frozen=True, gc=False):
    """The figures of one series of a histogram."""

    counts: tuple[int, ...]
    """Values in each bucket, those above the last bound in one more."""
    total: float
    """Sum of the values, in the metric's unit."""


Sample = tuple[Labels, float]
HistogramSample = tuple[Labels, Distribution]


class Family(Struct, frozen=True):
    """A metric with its figures. `samples` are gone through once."""

    spec: MetricSpec
    samples: Iterable[Sample | HistogramSample]


def single(spec: MetricSpec, value: float) -> Family:
    """Return a metric without labels."""
    return Family(spec, [(Labels(""), value)])


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
