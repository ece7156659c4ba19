"""The agents as a process of their own.

`python -m tests.support.processes.agents SERVERS PREFIX [READY_FILE [INSTANCE]]` wires real adapters to `run_agents`;
it ends with code 0 after SIGTERM, and with 1 when the agents failed.
"""

import asyncio
import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path

from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.observations.answer_lookup import KafkaAnswerLookup
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.agents.run import run_agents
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import HotswapError
from hotswap_stream.kafka.connection import KafkaConnection


async def main(servers: str, prefix: str, ready_file: str | None = None, instance: str = "1") -> int:
    """Run until SIGTERM; the exit code."""
    connection, topics = KafkaConnection(bootstrap_servers=servers), Topics(prefix)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def ensure_model_topics(model_name: str) -> None:
        await ensure_topics(connection, topics.model_specs(model_name, partitions=1))

    def say_ready() -> None:
        if ready_file is not None:
            Path(ready_file).write_text(str(os.getpid()))

    registry = Registry(
        KafkaRegistryLog(connection, topics.registry),
        clock=SystemClock(),
        ids=RandomIds(),
        source=f"/{prefix}/agents",
        on_model_created=ensure_model_topics,
    )
    try:
        async with KafkaAnswerLookup(connection.client_options(), topics) as answers:
            await run_agents(
                connection,
                topics,
                registry,
                ensure_topics=partial(ensure_topics, connection),
                stop=stop,
                instance=instance,
                on_model_seen=ensure_model_topics,
                on_ready=say_ready,
                clock=SystemClock(),
                answers=answers,
                marks_file=None if ready_file is None else Path(ready_file).with_name(f"{instance}.reading"),
            )
    except HotswapError as error:
        logging.error("agents ended: %s", error)  # noqa: LOG015
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    code = asyncio.run(main(*sys.argv[1:]))
    logging.shutdown()
    os._exit(code)
