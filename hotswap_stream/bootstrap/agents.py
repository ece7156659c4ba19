"""The control agents."""

import asyncio
import re
from collections.abc import Callable
from functools import partial

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower
from hotswap_stream.adapters.kafka.key_log import KafkaKeyLog
from hotswap_stream.application.keys.signatures import CommandSignatures
from hotswap_stream.bootstrap.clients import answer_lookup, request_lag, split_view
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.bootstrap.monitoring.over_http import shown_over_http
from hotswap_stream.bootstrap.registry import build_registry
from hotswap_stream.bootstrap.topic_care import create_topics, model_topics_creator, retention_applier
from hotswap_stream.bootstrap.webhooks import webhook_deliveries
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

ALERT_LAG_SECONDS_MIN = 0.1
ALERT_LAG_SECONDS_MAX = 3_600.0
INSTANCE_CHARACTERS_MAX = 100


async def run_control_agents(
    settings: Settings,
    stop: asyncio.Event,
    *,
    instance: str = "1",
    on_ready: Callable[[], None] | None = None,
    on_well: Callable[[], None] | None = None,
) -> None:
    """Run the Faust control agents, and the deliveries to webhooks beside them, until `stop` is set.

    Args:
        settings: The environment they run in.
        stop: Ends them.
        instance: Unique among the agents' processes, and the same after a restart.
        on_ready: Called once, when all of them follow their topics.
        on_well: Called again and again while agents and deliveries can do their work.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    from hotswap_stream.agents.figures import AgentsFigures
    from hotswap_stream.agents.run import run_agents

    kafka, alert_lag_seconds = connection(settings), settings.alert_lag_seconds
    if not ALERT_LAG_SECONDS_MIN <= alert_lag_seconds <= ALERT_LAG_SECONDS_MAX:
        raise ConfigurationError(
            f"HOTSWAP_ALERT_LAG_SECONDS is {alert_lag_seconds}; {ALERT_LAG_SECONDS_MIN:g} to "
            f"{ALERT_LAG_SECONDS_MAX:g} seconds are possible"
        )
    registry = build_registry(settings, "agents")
    figures = AgentsFigures(registry, instance)
    async with (
        shown_over_http(
            settings, "agents", instance, families=figures.families, live=lambda: None, ready=figures.unready
        ),
        answer_lookup(settings) as answers,
        request_lag(settings) as lag,
        split_view(settings) as split,
        webhook_deliveries(settings, registry) as deliveries,
        FleetFollower(kafka.client_options(), topics(settings).fleet) as fleet,
        KafkaKeyLog(kafka.client_options(), topics(settings).keys, waits=False) as keys,
    ):

        def begin() -> None:
            deliveries.begin(stop)
            if on_ready is not None:
                on_ready()

        def say_well() -> None:
            if deliveries.failure is not None:
                return
            figures.well()
            if on_well is not None:
                on_well()

        await run_agents(
            kafka,
            topics(settings),
            registry,
            ensure_topics=partial(create_topics, settings),
            stop=stop,
            instance=instance,
            on_model_seen=model_topics_creator(settings),
            on_retention=retention_applier(settings),
            on_ready=begin,
            on_well=say_well,
            clock=SystemClock(),
            answers=answers,
            lag=lag,
            fleet=fleet,
            split=split,
            alert_lag_seconds=alert_lag_seconds,
            figures=figures,
            signatures=CommandSignatures(keys, SystemClock().now),
            unsigned=settings.commands_from_topic,
            marks_file=settings.home / "agents" / f"{settings.topic_prefix}-{_file_name(instance)}.reading",
        )


def _file_name(instance: str) -> str:
    """Return a file name that cannot be confused with another instance's."""
    return re.sub(r"[^A-Za-z0-9._-]", lambda found: f"%{ord(found.group()):x}", instance)[:INSTANCE_CHARACTERS_MAX]
