"""Eight processes write to the same three models at once; no lock, no leader: the log decides."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import AsyncExitStack, suppress

from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.application.audit.audit import verify_log
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.checkout import ROOT
from tests.support.registry_digest import states_digest

WRITERS = 8
COMMANDS = 250
LINE_BYTES_MAX = 1_000_000


async def start_writer(servers: str, topic: str, number: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.processes.registry_writer",
        servers,
        topic,
        str(number),
        str(COMMANDS),
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'events'}"},
        stdin=PIPE,
        stdout=PIPE,
        limit=LINE_BYTES_MAX,
    )


async def end_writer(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def tell(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def hear(process: Process) -> object:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, f"the writer ended early: exit status {await process.wait()}"
    return json.loads(line)


async def test_eight_writers_on_three_models(kafka: str, topic_prefix: str) -> None:
    connection = KafkaConnection(bootstrap_servers=kafka)
    topics = Topics(topic_prefix)
    await ensure_topics(connection, [spec for spec in topics.control_specs() if spec.name == topics.registry])
    async with AsyncExitStack() as stack:
        writers: list[Process] = []
        for number in range(WRITERS):
            writers.append(await start_writer(kafka, topics.registry, number))
            stack.push_async_callback(end_writer, writers[-1])
        assert await asyncio.gather(*map(hear, writers)) == ["ready"] * WRITERS
        await asyncio.gather(*(tell(writer, "go") for writer in writers))
        answers = await asyncio.gather(*map(hear, writers))

        log = KafkaRegistryLog(connection, topics.registry)
        registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test/reader")
        await registry.start()
        stack.push_async_callback(registry.stop)
        end = await log.end_offset()
        await asyncio.gather(*(tell(writer, str(end)) for writer in writers))
        told = await asyncio.gather(*map(hear, writers))
        assert [await writer.wait() for writer in writers] == [0] * WRITERS

        fresh = {"next_offset": end, "digest": states_digest(registry.fold)}
        assert told == [fresh] * WRITERS

        report = await verify_log(log)
        assert report.ok, report.findings
        assert report.records == end

        caused: Counter[str] = Counter()
        offsets: dict[str, int] = {}
        fold = RegistryFold()
        async for page in log.read(0, end):
            for record in page:
                outcome = fold.apply(record)
                if isinstance(outcome, Applied):
                    caused[outcome.event.causationid] += 1
                    offsets[outcome.event.causationid] = record.offset
        assert fold.void_count > 0, "no two writers ever met: nothing was tried here"

    commands: dict[str, list[dict[str, object]]] = {}
    for answer in (answer for writer_answers in answers for answer in writer_answers):  # type: ignore[attr-defined]
        commands.setdefault(answer["command_id"], []).append(answer)
    assert len(commands) == WRITERS * COMMANDS
    for command_id, tries in commands.items():
        statuses = [answer["status"] for answer in tries]
        assert set(statuses) <= {"accepted", "unchanged", "refused"}
        if "accepted" in statuses:
            accepted = tries[statuses.index("accepted")]
            assert set(statuses[statuses.index("accepted") + 1 :]) <= {"unchanged"}
            assert caused[command_id] == accepted["events"]
            assert offsets[command_id] == accepted["offset"]
        else:
            assert command_id not in caused
    assert caused.keys() <= commands.keys()
    assert len(caused) > WRITERS * COMMANDS / 4, "hardly a command was accepted: nothing was tried here"
