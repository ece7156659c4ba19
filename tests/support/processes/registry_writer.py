"""One of several processes that write to one registry log: `writer_process.py SERVERS TOPIC NUMBER COMMANDS`.

Says `ready`, waits for a line, sends its commands one after the other, and prints what each was answered as one JSON
line. Then it reads an offset, follows the log up to there, and prints the digest of the states it holds.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import Any

import structlog

from hotswap_events.commands import AnyCommand
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.registry_digest import states_digest
from tests.support.samples.registry import archive, artifact_of, promote, register, roll_back, stage, switch, validate

MODELS = ("alpha", "beta", "gamma")
RETRIED_SHARE = 0.1


STEPS: tuple[Callable[..., AnyCommand], ...] = (promote, stage, switch, archive)


def next_command(state: ModelState, command_id: str, choice: random.Random) -> AnyCommand:
    """A command that made sense a moment ago; by the time it is decided, another process may have made it illegal."""
    attributes: dict[str, Any] = {"model_name": state.model_name, "command_id": command_id, "actor": "writer"}
    kind = choice.choice(("register", "validate", "validate", "step", "step", "roll back"))
    if kind == "register" or not state.versions:
        return register(None, artifact=artifact_of(command_id), **attributes)
    if kind == "roll back":
        return roll_back(from_version=state.active_version, **attributes)
    version = choice.choice(list(state.versions)[-8:])
    if kind == "validate":
        baseline = None if state.active_version is None else (state.active_version, 0.95)
        return validate(version, choice.choice((0.5, 0.89, 0.97)), baseline, **attributes)
    return choice.choice(STEPS)(version, **attributes)


def say(value: object) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def heard() -> str:
    """One line from the parent; empty when it is gone."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


async def main(servers: str, topic: str, number: int, commands: int) -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log = KafkaRegistryLog(KafkaConnection(bootstrap_servers=servers), topic)
    registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source=f"/test/writer-{number}")
    await registry.start()
    try:
        say("ready")
        if not await heard():
            return
        choice = random.Random(number)
        answers: list[dict[str, object]] = []
        for index in range(commands):
            state = registry.state(choice.choice(MODELS))
            command = next_command(state, f"writer-{number}-{index}", choice)
            for _try in range(2 if choice.random() < RETRIED_SHARE else 1):
                result = await registry.handle(command)
                answers.append(
                    {
                        "command_id": result.command_id,
                        "status": result.status,
                        "offset": result.offset,
                        "events": len(result.event_types),
                        "code": None if result.refusal is None else result.refusal.code,
                    }
                )
        say(answers)
        if end := await heard():
            await registry.wait_for_offset(int(end))
            say({"next_offset": registry.fold.next_offset, "digest": states_digest(registry.fold)})
    finally:
        await registry.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
