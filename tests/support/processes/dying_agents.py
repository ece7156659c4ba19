"""The agents' process, which certain records end in ways that no handler can catch.

A command whose id begins with `kills` makes it read outside its memory, as a library with a fault does; an observation
of a worker called `kills` gets it killed, as by a kernel that is out of memory.
"""

import asyncio
import ctypes
import os
import signal
import sys
from typing import Any

from hotswap_events.inference.observation import Observation
from hotswap_stream.agents import analysis_agent, command_agent
from hotswap_stream.application.topics.records import InboundRecord
from tests.support.processes.agents import main

_read_command = command_agent.read_command
_fold_record = analysis_agent.AnalysisAgent._observe


def _deadly_read(record: InboundRecord) -> Any:
    if b'"command_id":"kills' in (record.value or b"") and sys._getframe(1).f_code.co_name == "_handle":
        ctypes.string_at(0)
    return _read_command(record)


async def _deadly_fold(agent: analysis_agent.AnalysisAgent, observation: Observation, record: InboundRecord) -> None:
    if observation.worker == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    await _fold_record(agent, observation, record)


if __name__ == "__main__":
    command_agent.read_command = _deadly_read
    analysis_agent.AnalysisAgent._observe = _deadly_fold  # type: ignore[assignment,method-assign]
    os._exit(asyncio.run(main(*sys.argv[1:])))
