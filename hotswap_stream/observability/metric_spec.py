"""What is said of a metric, and a metric with its figures."""

from collections.abc import Iterable
from functools import cache
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
    """Unit of its value, or of what a histogram holds; empty for plain numbers."""
    sources: tuple[Source, ...] = ("api",)
    bounds: tuple[float, ...] = ()
    """Upper ends of a histogram's buckets, ascending; the one that holds everything is not named."""
    documentation: str

    def labelled(self, *values: str) -> Labels:
        """Return the labels with these values, in their order. TypeError where there are more or fewer of them."""
        template, quotes = _template(self.labels)
        text = template % values
        if text.count('"') != quotes or "\\" in text or "\n" in text:
            text = template % tuple(map(_escaped, values))
        return Labels(text)


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


@cache
def _template(names: tuple[str, ...]) -> tuple[str, int]:
    """Return labels without their values, and how many quotation marks there are in them."""
    return ",".join(f'{name}="%s"' for name in names), 2 * len(names)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
