"""`/metrics` of 1,000 models, against the same text by prometheus_client."""

import time
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from hotswap_events.inference.observation import LatencyCounts
from hotswap_stream.api.monitoring.registry_families import registry_families
from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.families import answer_families
from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.application.registry.fold import RegistryFold, Stream
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.observability.exposition import exposition
from hotswap_stream.observability.metric_spec import Distribution, Family

MODELS = 1_000
ROUNDS = 9
MILLISECONDS_MAX = 100.0


def run() -> list[dict[str, object]]:
    """Return the results, one a figure."""
    fold, answered = _folds()

    def families() -> Iterator[Family]:
        yield from registry_families(fold, {})
        yield from answer_families(answered)

    made = [Family(family.spec, list(family.samples)) for family in families()]
    library = CollectorRegistry(auto_describe=False)
    library.register(_Library(made))
    ours_ms, text = _median_ms(lambda: exposition(families()))
    theirs_ms, other = _median_ms(lambda: generate_latest(library).decode())
    lines = text.count("\n")
    if lines != other.count("\n"):
        raise AssertionError(f"{lines} lines, but prometheus_client has {other.count(chr(10))}")
    return [
        {
            "name": f"metrics_page_{MODELS}_models",
            "ours": round(ours_ms, 1),
            "unit": "ms of CPU",
            "compared_with": f"prometheus_client, the same {lines} lines",
            "comparison": round(theirs_ms, 1),
            "ratio": round(ours_ms / theirs_ms, 3),
            "aim": f"at most {MILLISECONDS_MAX:g} ms",
            "holds": ours_ms <= MILLISECONDS_MAX,
        }
    ]


def _folds() -> tuple[RegistryFold, Answered]:
    fold, answered = RegistryFold(), Answered()
    waits = LatencyCounts(buckets=dict.fromkeys(range(-8, 80), 10), total_ms=900.0)
    for number in range(MODELS):
        name = f"model-{number}"
        fold.streams[name] = Stream(ModelState(name, sequence=3, production_history=["v1"]))
        answered.add(
            AnswerFigures(
                worker_run="w",
                sequence=number + 1,
                model_name=name,
                model_version="v1",
                role="primary",
                answers=900,
                errors={"model-failure": 2},
                compute=waits,
                total=waits,
                queue=waits,
                rows=1_800,
                pass_rows={0: 5, 3: 20},
            ),
            0.0,
        )
    return fold, answered


class _Library(Collector):
    """The same figures, as that library wants them."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            spec = family.spec
            names = spec.labels
            if spec.kind == "histogram":
                histogram = HistogramMetricFamily(spec.name, spec.documentation, labels=names)
                ends = [*map(str, spec.bounds), "+Inf"]
                for labels, found in family.samples:
                    if isinstance(found, Distribution):
                        buckets = list(zip(ends, accumulate(found.counts), strict=True))
                        histogram.add_metric(_values(labels), buckets, sum_value=found.total)
                yield histogram
                continue
            plain = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            numbers = plain(spec.name.removesuffix("_total"), spec.documentation, labels=names)
            for labels, value in family.samples:
                if not isinstance(value, Distribution):
                    numbers.add_metric(_values(labels), value)
            yield numbers


def _values(labels: str) -> list[str]:
    return [part.partition('="')[2].removesuffix('"') for part in labels.split(",")] if labels else []


def _median_ms(render: Callable[[], str]) -> tuple[float, str]:
    taken, text = [], ""
    for _round in range(ROUNDS):
        begun_s = time.process_time()
        text = render()
        taken.append((time.process_time() - begun_s) * 1_000)
    return sorted(taken)[ROUNDS // 2], text
