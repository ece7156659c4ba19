"""Alerts at a real receiver, posted by the agents' own process: stopped, killed, and started again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hotswap_events.alerts.commands import ClearAlert, RaiseAlert, SetAlertPolicy
from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.commands import RegisterVersion
from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.settings import Settings, child_environment
from tests.support.checkout import ROOT
from tests.support.samples.registry import IMPORTED, artifact_of
from tests.support.webhook_receiver import SECONDS_MAX, SECRET, Answer, Receiver

SLOW = AlertRule(name="slow", metric="latency-ms", above=100.0)


class Alerts:
    """A model that alerts are raised of, by hand."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._count = 0

    async def begin(self) -> None:
        fields = self._fields()
        await self._sent(RegisterVersion(**fields, artifact=artifact_of("v1"), provenance=IMPORTED))
        await self._sent(SetAlertPolicy(**self._fields(), policy=AlertPolicy(rules=(SLOW,))))

    async def come_and_go(self, times: int) -> None:
        for _ in range(times):
            await self._sent(RaiseAlert(**self._fields(), rule_name="slow", value=250.0, above=100.0, count=60))
            await self._sent(ClearAlert(**self._fields(), rule_name="slow", cause="recovered", value=20.0))

    def _fields(self) -> dict[str, Any]:
        self._count += 1
        return {"command_id": f"c-{self._count}", "actor": "test", "model_name": "digits"}

    async def _sent(self, command: RegisterVersion | SetAlertPolicy | RaiseAlert | ClearAlert) -> None:
        result = await self._registry.handle(command)
        assert result.status == "accepted", result


@asynccontextmanager
async def agents(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """`hotswap-stream agents`, from the moment its webhooks have their places; killed at the end if it still runs."""
    log = (settings.home / "agents.log").open("ab")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from hotswap_stream.cli import main; main()",
        "agents",
        env={**child_environment(settings), "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events")))},
        stdout=log,
        stderr=log,
    )
    log.close()
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while any(place.next_offset is None for place in (await bootstrap.webhook_places(settings)).values()):
                assert process.returncode is None, (settings.home / "agents.log").read_text()
                await asyncio.sleep(0.1)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_alerts_are_posted_across_a_stop_and_a_kill(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    unanswered = asyncio.Event()
    async with Receiver() as receiver:
        settings = Settings(
            kafka_bootstrap_servers=kafka,
            topic_prefix=topic_prefix,
            home=tmp_path,
            request_partitions=1,
            webhook_urls=f"pager={receiver.url('/hook?token=hush')}",
            webhook_secret=SECRET,
            log_level="debug",
        )
        path = "/hook?token=hush"
        async with bootstrap.open_registry(settings, "test") as registry:
            alerts = Alerts(registry)
            await alerts.begin()
            async with agents(settings) as process:
                await alerts.come_and_go(2)
                await receiver.until(4, path)
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
            await alerts.come_and_go(1)  # while nobody posts
            async with agents(settings) as process:
                await receiver.until(6, path)
                receiver.answers[path].append(Answer(hold=unanswered))
                await alerts.come_and_go(1)
                await receiver.until(7, path)
                process.kill()  # after the event came, before it was answered
                await process.wait()
            unanswered.set()
            async with agents(settings) as process:
                came = await receiver.until(9, path)
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
    assert [each.verified()["type"].split(".")[2] for each in came] == [
        *("raised", "cleared") * 3,
        *("raised", "raised", "cleared"),
    ]
    assert came[6].message_id == came[7].message_id, "the receiver can tell that it came twice"
    assert len({each.message_id for each in came}) == 8
    assert came[0].verified()["data"]["value"] == 250.0
    logged = (tmp_path / "agents.log").read_text()
    assert "webhook_delivered" in logged
    assert "hush" not in logged
    assert SECRET.removeprefix("whsec_") not in logged
