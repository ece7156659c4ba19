"""`GET /metrics`: the catalogue's metrics as Prometheus text, read from the fold when they are asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from litestar import MediaType, Response, get
from msgspec import structs
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.inference.fleet import FleetView
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metrics import MetricSpec

Sample = tuple[tuple[str, ...], float]


class RegistryCollector(Collector):
    """The fold, seen by Prometheus."""

    def __init__(self, runtime: ApiRuntime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[Metric]:
        """Yield all families of the catalogue that this process has."""
        runtime = self._runtime
        registry, fold = runtime.registry, runtime.registry.fold
        streams = list(fold.streams.values())
        yield _family(catalogue.MODEL_VERSION_INFO, _version_info(streams))
        yield _family(catalogue.MODEL_SWITCHES, _switches(runtime, streams))
        yield _family(catalogue.REGISTRY_VERSIONS, _versions_by_stage(streams))
        yield _family(catalogue.CIRCUIT_OPEN, _circuit_positions(streams))
        yield _family(catalogue.CIRCUIT_OPENINGS, _circuit_openings(streams))
        yield _family(catalogue.MODEL_DISABLED, _disabled(streams))
        yield _family(catalogue.ALERTS_RAISED, _alerts(streams))
        if runtime.services.fleet is not None:
            yield _family(catalogue.OBSERVATIONS_LOST, _observations_lost(runtime.services.fleet, streams))
        for spec, value in (
            (catalogue.REGISTRY_MODELS, len(streams)),
            (catalogue.REGISTRY_NEXT_OFFSET, fold.next_offset),
            (catalogue.REGISTRY_EVENTS_APPLIED, fold.applied_count),
            (catalogue.REGISTRY_EVENTS_VOID, fold.void_count),
            (catalogue.REGISTRY_FOLLOWER_UP, int(registry.healthy)),
            (catalogue.EVENT_STREAM_CLIENTS, runtime.event_stream_clients),
        ):
            yield _family(spec, [((), value)])


def _family(spec: MetricSpec, samples: Iterable[Sample]) -> Metric:
    family: CounterMetricFamily | GaugeMetricFamily
    if spec.kind == "counter":
        family = CounterMetricFamily(spec.name.removesuffix("_total"), spec.documentation, labels=spec.labels)
    else:
        family = GaugeMetricFamily(spec.name, spec.documentation, labels=spec.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _version_info(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        active = stream.state.active
        if active is not None:
            provenance = active.provenance
            labels = (
                stream.state.model_name,
                active.model_version,
                active.artifact.digest,
                provenance.code_revision or "",
                provenance.data_snapshot or "",
            )
            yield labels, 1


def _switches(runtime: ApiRuntime, streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        history = ["none", *stream.state.production_history]
        for (left, right), count in Counter(pairwise(history)).items():
            yield (stream.state.model_name, left, right, "success"), count
    for series, count in runtime.refused_switches.items():
        yield series, count


def _versions_by_stage(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        for stage, count in Counter(version.stage for version in stream.state.versions.values()).items():
            yield (stream.state.model_name, stage), count


_POSITIONS = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


def _circuit_positions(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        for name, circuit in stream.state.serving.circuits.items():
            yield (stream.state.model_name, name), _POSITIONS[circuit.position]


def _circuit_openings(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        for name, circuit in stream.state.serving.circuits.items():
            yield (stream.state.model_name, name), circuit.openings


def _disabled(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        yield (stream.state.model_name,), int(stream.state.serving.disabled)


def _alerts(streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        alerts, model_name = stream.state.alerts, stream.state.model_name
        rules = {(rule.name, rule.severity): 0 for rule in alerts.effective_policy.rules}
        # An alert may have been raised by a rule that a newer release's default policy has no more.
        rules |= {(alert.rule.name, alert.rule.severity): 1 for alert in alerts.raised.values()}
        for (rule_name, severity), raised in rules.items():
            yield (model_name, rule_name, severity), raised


def _observations_lost(fleet: FleetView, streams: list[Stream]) -> Iterator[Sample]:
    for stream in streams:
        model_name = stream.state.model_name
        for worker in fleet.workers(model_name):
            if worker.live:
                for what, count in structs.asdict(worker.observations_lost).items():
                    yield (worker.worker, model_name, what), count


@get("/metrics", operation_id="metrics", tags=["health"], media_type=MediaType.TEXT)
async def metrics(runtime: Runtime) -> Response[str]:
    """Metrics in the Prometheus text format."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(RegistryCollector(runtime))
    # Litestar appends the charset.
    return Response(generate_latest(collectors).decode(), media_type=CONTENT_TYPE_PLAIN_0_0_4.partition("; charset")[0])
