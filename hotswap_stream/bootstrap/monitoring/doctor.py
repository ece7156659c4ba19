"""A deployment looked over: topics, clocks, disk, rights, workers. Nothing is changed."""

import os
import shutil
import time
from pathlib import Path

from hotswap_stream import __version__
from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.application.monitoring.findings import (
    Finding,
    by_weight,
    clock_findings,
    disk_findings,
    fleet_findings,
    series_finding,
    topic_findings,
)
from hotswap_stream.application.windows.split import split_series
from hotswap_stream.bootstrap.clients import window_reader
from hotswap_stream.bootstrap.environment import broker_condition, connection, running_broker, topics
from hotswap_stream.bootstrap.registry import open_registry
from hotswap_stream.bootstrap.topic_care import agent_topic_specs, check_topics, existing_topics
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.settings import Settings


async def examine(settings: Settings) -> list[Finding]:
    """Return what somebody should mend, what must be first.

    Raises:
        LogUnavailableError: The cluster cannot be reached.
    """
    names, existing = topics(settings), await existing_topics(settings)
    specs = [*names.control_specs(), *agent_topic_specs(settings)]
    found = _disk(settings)
    # The agents make their own topics at their first start; a log that is not there has no models either.
    missing = [spec.name for spec in names.control_specs() if spec.name not in existing]
    states = {}
    if names.registry in existing:
        try:
            async with open_registry(settings, check=False) as registry:
                states = {name: stream.state for name, stream in registry.fold.streams.items()}
        except LogUnavailableError as error:
            text = f"the log cannot be read: {error}"
            found.append(Finding(weight="must", about="registry", found=text, do="hotswap-stream audit verify"))
    for model_name, state in states.items():
        kept = state.request_retention
        specs.extend(names.model_specs(model_name, partitions=settings.request_partitions, retention=kept))
    checked = await check_topics(settings, [spec for spec in specs if spec.name in existing])
    embedded = running_broker(settings) is not None
    found += topic_findings(
        [(facts, different) for _spec, facts, different in checked], missing, names.registry, embedded=embedded
    )
    reader = window_reader(settings)
    for model_name in sorted(states):
        if names.windows(model_name) not in existing:
            continue
        try:
            split = split_series(await reader.read(model_name), reader.homes)
        except LogUnavailableError as error:
            about, show = f"model {model_name}", f"hotswap-stream windows {model_name}"
            found.append(Finding(weight="should", about=about, found=str(error), do=show))
        else:
            found += [each for each in (series_finding(model_name, split),) if each is not None]
    if names.fleet in existing:
        fleet = await read_fleet(connection(settings).client_options(), names.fleet)
        now_s, mono_s = time.time(), time.monotonic()
        models = {name: (state, fleet.workers(name, mono_s)) for name, state in states.items()}
        found += clock_findings([worker for _state, workers in models.values() for worker in workers], now_s)
        found += fleet_findings(models, __version__)
    return by_weight(found)


def _disk(settings: Settings) -> list[Finding]:
    folder: Path = settings.home
    while not folder.exists():
        folder = folder.parent
    condition = broker_condition(settings)()
    return disk_findings(
        shutil.disk_usage(folder).free,
        str(settings.home),
        writable=os.access(folder, os.W_OK | os.X_OK),
        broker_warning="" if condition is None else condition.disk_warning,
    )
