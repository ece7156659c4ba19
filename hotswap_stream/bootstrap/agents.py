"""The control agents."""

import asyncio
from collections.abc import Callable
from functools import partial

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.bootstrap.clients import answer_lookup
from hotswap_stream.bootstrap.environment import build_registry, connection, model_topics_creator, topics
from hotswap_stream.settings import Settings


async def run_control_agents(
    settings: Settings, stop: asyncio.Event, *, instance: str = "1", on_ready: Callable[[], None] | None = None
) -> None:
    """Run the Faust control agents until `stop` is set."""
    from hotswap_stream.agents.run import run_agents

    kafka = connection(settings)
    async with answer_lookup(settings) as answers:
        await run_agents(
            kafka,
            topics(settings),
            build_registry(settings, "agents"),
            ensure_topics=partial(ensure_topics, kafka),
            stop=stop,
            instance=instance,
            on_model_seen=model_topics_creator(settings),
            on_ready=on_ready,
            clock=SystemClock(),
            answers=answers,
        )
