"""The agents as a process of their own, wired as `hotswap-stream agents` wires them, for models with two partitions.

`python -m tests.support.processes.configured_agents SERVERS PREFIX READY_FILE`: what `agents_stage` starts.
"""

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from hotswap_stream import bootstrap
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings
from tests.support.samples.partitions import PARTITIONS

ALERT_LAG_SECONDS = 0.5


async def main(servers: str, prefix: str, ready_file: str) -> int:
    """Run until killed; 1 when the agents failed."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            kafka_bootstrap_servers=servers,
            topic_prefix=prefix,
            home=Path(home),
            request_partitions=PARTITIONS,
            alert_lag_seconds=ALERT_LAG_SECONDS,
        )

        def say_ready() -> None:
            Path(ready_file).write_text(str(os.getpid()))

        try:
            await bootstrap.run_control_agents(settings, asyncio.Event(), on_ready=say_ready)
        except HotswapError as error:
            logging.error("agents ended: %s", error)  # noqa: LOG015
            return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os._exit(asyncio.run(main(*sys.argv[1:])))
