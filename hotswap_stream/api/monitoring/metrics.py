"""`GET /metrics`: the catalogue's metrics as Prometheus text, read from the folds when they are asked for."""

from collections.abc import Iterator, Mapping, Sequence

from litestar import MediaType, Response, get
from msgspec import structs

from hotswap_stream import __version__
from hotswap_stream.api.access.scopes import PUBLIC
from hotswap_stream.api.monitoring.own_counts import counts_together
from hotswap_stream.api.monitoring.registry_families import registry_families
from hotswap_stream.api.monitoring.training_families import training_families
from hotswap_stream.api.protocol.broker_away import broker_condition
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.inference.fleet import FleetWorker, model_fleet
from hotswap_stream.application.monitoring.families import answer_families
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.exposition import MEDIA_TYPE, exposition
from hotswap_stream.observability.metric_spec import Family, Sample, single
from hotswap_stream.observability.process_families import process_families


def api_families(runtime: ApiRuntime) -> Iterator[Family]:
    """Yield all families of the catalogue that this process has."""
    fold, services = runtime.registry.fold, runtime.services
    counted = counts_together(runtime)
    yield from process_families(
        release=__version__,
        process="api",
        process_name="api",
        ready=counted.ready,
        cpu_s=counted.cpu_s,
        memory=counted.memory_bytes,
    )
    yield single(catalogue.REGISTRY_NEXT_OFFSET, fold.next_offset)
    yield single(catalogue.REGISTRY_FOLLOWER_UP, int(counted.follows_log))
    yield single(catalogue.EVENT_STREAM_CLIENTS, counted.event_stream_clients)
    yield Family(catalogue.REQUESTS_NOT_PERMITTED, _not_permitted(counted.not_permitted))
    broker = broker_condition(runtime)
    if broker is not None:
        yield single(catalogue.BROKER_UP, int(broker.state == "serving"))
        yield single(catalogue.BROKER_RESTARTS, broker.restarts)
    yield from registry_families(fold, dict(counted.refused_switches), services.evidence)
    heard = services.training_progress
    progress = heard.fold if heard is not None and heard.known else None
    yield from training_families(list(fold.streams.values()), progress, services.clock.now())
    fleet = services.fleet
    if fleet is not None and fleet.known:
        yield from _fleet_families(
            [(stream, fleet.workers(stream.state.model_name)) for stream in fold.streams.values()]
        )
    if services.traffic is not None:
        yield single(catalogue.OBSERVATIONS_FOLLOWED, int(services.traffic.known))
        yield from answer_families(services.traffic.answered)


def _fleet_families(models: Sequence[tuple[Stream, tuple[FleetWorker, ...]]]) -> Iterator[Family]:
    yield Family(catalogue.FLEET_WORKERS, _workers(models))
    lag = catalogue.REQUEST_LAG
    yield Family(
        lag,
        [
            (lag.labelled(stream.state.model_name), sum(worker.waiting for worker in workers if worker.live))
            for stream, workers in models
            if any(worker.live for worker in workers)
        ],
    )
    yield Family(catalogue.OBSERVATIONS_LOST, _observations_lost(models))


def _workers(models: Sequence[tuple[Stream, tuple[FleetWorker, ...]]]) -> Iterator[Sample]:
    labelled = catalogue.FLEET_WORKERS.labelled
    for stream, workers in models:
        name = stream.state.model_name
        live = [worker for worker in workers if worker.live]
        compared = model_fleet(name, stream.state, stream.active_offset, workers)
        counts: Mapping[str, int] = {
            "live": len(live),
            "silent": len(workers) - len(live),
            "serving_active": compared.serving_active_workers,
            "troubled": sum(worker.trouble is not None for worker in live),
        }
        for state, count in counts.items():
            yield labelled(name, state), count


def _not_permitted(counts: Mapping[str, int]) -> Iterator[Sample]:
    for reason, count in counts.items():
        yield catalogue.REQUESTS_NOT_PERMITTED.labelled(reason), count


def _observations_lost(models: Sequence[tuple[Stream, tuple[FleetWorker, ...]]]) -> Iterator[Sample]:
    labelled = catalogue.OBSERVATIONS_LOST.labelled
    for stream, workers in models:
        for worker in workers:
            if worker.live:
                for what, count in structs.asdict(worker.observations_lost).items():
                    yield labelled(worker.worker, stream.state.model_name, what), count


@get("/metrics", operation_id="metrics", tags=["health"], opt=PUBLIC, security=[{}], media_type=MediaType.TEXT)
async def metrics(runtime: Runtime) -> Response[bytes]:
    """Metrics in the Prometheus text format, where several processes share the port, of all of them together."""
    member = runtime.services.member
    if member is None or member.first:
        content: bytes | None = exposition(api_families(runtime)).encode()
    else:  # always the same one tells: what is counted from answers begins with each process anew
        content = await member.page_of_first()
    if content is None:
        raise ProblemError(
            503,
            "not-ready",
            "the first of the processes, which tells of all, does not answer; it is being started again",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return Response(content, media_type=MEDIA_TYPE)
