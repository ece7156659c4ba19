"""How models do right now, asked of the cluster."""

from collections.abc import Mapping
from time import monotonic

from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.adapters.kafka.observations.follower import read_traffic
from hotswap_stream.application.monitoring.health import ModelHealth, model_health
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.settings import Settings


async def models_health(settings: Settings, streams: Mapping[str, Stream]) -> list[ModelHealth]:
    """Return how these models do right now, by what the workers wrote of the last minute: those that hurt first.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    options, names = connection(settings).client_options(), topics(settings)
    traffic, now_s = await read_traffic(options, names.observations)
    fleet = await read_fleet(options, names.fleet)
    found = [
        model_health(stream.state, traffic.recent(name, now_s), fleet.workers(name, monotonic()))
        for name, stream in streams.items()
    ]
    return sorted(found, key=lambda each: (not each.hurts, each.model_name))
