"""One run: requests, workers, faults and swaps side by side, then the checker's verdict on what the topics hold."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.application.processes.tether import tethered
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.settings import Settings
from tests.support.kafka.hostile_topics import set_topic
from tests.torture.answer_watch import AnswerWatch
from tests.torture.check import Verdict
from tests.torture.cluster import Cluster
from tests.torture.facts import Fault, RunFacts
from tests.torture.leaders import LeaderWatch
from tests.torture.plan import BrokerFault, GrowthFault, Plan, Schedule, ServantFault, Swap, WorkerFault, worker_names
from tests.torture.request_kinds import MODEL
from tests.torture.request_load import RequestLoad
from tests.torture.servants import Servants
from tests.torture.swapping import WENT_WRONG, Operator
from tests.torture.topic_reading import TopicReader
from tests.torture.worker_words import said_by_workers
from tests.torture.workers import Workers

FIRST_ANSWERS_SECONDS_MAX = 90.0
GROWTH_SECONDS_MAX = 300.0
STALL_SECONDS_MAX = 60.0
"""Without any answer for so long, nothing more is waited for: the checker will say what is missing."""
_POLL_SECONDS = 0.1


class NothingAnsweredError(RuntimeError):
    """The run could not begin."""


Say = Callable[[str], None]


class Torture:
    """`cluster` is None where brokers are not to be touched."""

    def __init__(
        self, settings: Settings, plan: Plan, schedule: Schedule, seed: int, *, cluster: Cluster | None, say: Say
    ) -> None:
        self.facts = RunFacts(seed=seed, requests_min=plan.requests_min, faults_min=plan.faults)
        self._settings = settings
        self._plan = plan
        self._schedule = schedule
        self._cluster = cluster
        self._tell = say
        servers = settings.kafka_bootstrap_servers
        if servers is None:
            raise ValueError("settings name no brokers")
        self._servers = servers
        topics = Topics(settings.topic_prefix)
        self._request_topic = topics.requests(MODEL)
        self._load = RequestLoad(servers, self._request_topic, plan, seed, log_path=settings.home / "logs" / "load.log")
        self._watch = AnswerWatch(
            servers,
            topics.responses(MODEL),
            plan.partitions,
            bootstrap.answer_tags(settings).of(MODEL),
        )
        self._leaders = None
        if cluster is not None:
            self._leaders = LeaderWatch(
                servers, (topics.requests(MODEL), topics.responses(MODEL)), down=lambda: cluster.down, now_s=self._now
            )
        self._workers = Workers(settings, settings.home / "logs")
        self._operator = Operator(settings)
        wanted = plan.agents_kills + plan.api_kills
        self._servants = Servants(settings, settings.home / "logs") if wanted else None
        self._started = 0.0
        self._waking: list[asyncio.Task[None]] = []

    async def run(self) -> Verdict:
        """Do all that is planned, wait for the answers, judge. Whatever happens, nothing is left running."""
        async with AsyncExitStack() as stack:
            operator = await stack.enter_async_context(self._operator)
            stack.push_async_callback(self._workers.close)
            stack.push_async_callback(self._load.close)
            await operator.prepare(self._plan.versions_first)
            await bootstrap.model_topics_creator(self._settings)(MODEL)
            # So that a request's time is when it was there to be answered, and not when its producer had it in hand.
            stamped = {"message_timestamp_type": "LogAppendTime"}
            await asyncio.to_thread(set_topic, self._servers, self._request_topic, **stamped)
            stack.enter_context(self._watch)
            for name in worker_names(self._plan)[: self._plan.workers_first]:
                await self._workers.add(name)
            if self._servants is not None:
                stack.push_async_callback(self._servants.close)
                await self._servants.start()
            await self._load.start()
            if not await self._wait_for_answers([1] * self._plan.partitions, FIRST_ANSWERS_SECONDS_MAX):
                raise NothingAnsweredError(f"the workers answer nothing; their logs are in {self._settings.home}")
            self._load.begin()
            self._started, self.facts.began_ms = time.monotonic(), int(time.time() * 1_000)
            if self._leaders is not None:
                stack.enter_context(self._leaders)
            self._say("all partitions answer; faults begin")
            await self._do_all()
            self.facts.sent = await self._load.finish()
            self._say(f"{sum(self.facts.sent)} requests sent")
            written = await asyncio.to_thread(self._written, len(self.facts.sent))
            await self._wait_for_answers(written, STALL_SECONDS_MAX)
            self.facts.seconds = round(time.monotonic() - self._started, 1)
            if self._servants is not None:
                for trouble in await self._servants.troubles(*await operator.stand()):
                    self._trouble(trouble)
            self._say("answers have ended; workers end")
            await self._workers.close()
            self._say("workers have ended")
        facts = self.facts
        facts.said = said_by_workers(self._settings.home / "logs", facts.began_ms)
        facts.blocked = [] if self._leaders is None else self._leaders.blocked
        facts.commands = dict(self._operator.outcomes)
        facts.unplanned_worker_ends = self._workers.unplanned_ends
        facts.unplanned_servant_ends = 0 if self._servants is None else self._servants.unplanned_ends
        facts.forced_removals = self._workers.forced_removals
        facts.slowest_removal_s = self._workers.slowest_removal_s
        return await self._judge()

    async def _do_all(self) -> None:
        """All lanes to their end, and at least as many requests as planned."""
        work = [
            self._lane(self._schedule.worker_faults, self._worker_fault),
            self._lane(self._schedule.broker_faults, self._broker_fault),
            self._lane(self._schedule.servant_faults, self._servant_fault),
            self._lane(self._schedule.growths, self._growth),
            self._lane(self._schedule.swaps, self._swap),
            self._load.wait_for(self._plan.requests_min),
            self._report(),
        ]
        tasks = [asyncio.create_task(each) for each in work]
        reporting = tasks.pop()
        try:
            await asyncio.gather(*tasks)
            await asyncio.gather(*self._waking)
        finally:
            for task in [reporting, *tasks, *self._waking]:
                task.cancel()
            await asyncio.gather(reporting, *tasks, *self._waking, return_exceptions=True)

    async def _lane(self, steps: tuple[Any, ...], do: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        for step in steps:
            await asyncio.sleep(self._started + step.at_s - time.monotonic())
            try:
                await do(step)
            except Exception as error:  # noqa: BLE001 - one fault that could not be made must not hide the others
                self._trouble(f"{step}: {type(error).__name__}: {error}")

    async def _worker_fault(self, fault: WorkerFault) -> None:
        workers, began = self._workers, self._now()
        if fault.kind == "pause":
            self._waking.append(asyncio.create_task(workers.pause(fault.worker, fault.seconds)))
        else:
            await {"kill": workers.kill, "remove": workers.remove, "add": workers.add}[fault.kind](fault.worker)
        self._done(began, fault.kind, fault.worker, fault.seconds)

    async def _broker_fault(self, fault: BrokerFault) -> None:
        if self._cluster is None:
            raise ValueError("these brokers are not ours")
        began = self._now()
        self._say(f"{fault.kind} of node {fault.node}")
        await self._cluster.restart(fault)
        self._done(began, fault.kind, f"node {fault.node}", self._now() - began)

    async def _servant_fault(self, fault: ServantFault) -> None:
        if self._servants is None:
            raise ValueError("no agents and no API run")
        began, name = self._now(), fault.kind.removesuffix("-kill")
        await self._servants.kill(name)
        self._done(began, fault.kind, name, self._now() - began)

    async def _growth(self, fault: GrowthFault) -> None:
        began, partitions = self._now(), fault.factor * len(self._watch.answered)
        give_up_s = began + GROWTH_SECONDS_MAX
        while True:
            try:
                await bootstrap.grow_topics(self._settings, MODEL, partitions)
                break
            except LogUnavailableError:  # a broker is away: the same call goes on there
                if self._now() > give_up_s:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
        self._watch.grow(partitions)
        await self._load.grow(partitions)
        self._done(began, "grow", f"topics to {partitions} partitions", self._now() - began)

    async def _swap(self, swap: Swap) -> None:
        began = self._now()
        outcome = await self._operator.swap(swap)
        if swap.kind == "damaged":
            self._done(began, "damaged-artifact", "registry", self._now() - began, outcome)
            if "operator" in outcome:
                self._trouble(f"the damaged version was {outcome}")
        elif swap.kind == "full-store":
            self._done(began, "full-store", "artifacts", self._now() - began, outcome)
            if WENT_WRONG in outcome:
                self._trouble(f"an artifact without room: {outcome}")

    def _done(self, began: float, kind: str, target: str, seconds: float, detail: str = "") -> None:
        fault = Fault(at_s=round(began, 2), kind=kind, target=target, seconds=round(seconds, 2), detail=detail)
        self.facts.faults.append(fault)
        self._say(f"{kind} of {target} at {fault.at_s} s, {fault.seconds} s {detail}".strip())

    def _trouble(self, text: str) -> None:
        self.facts.troubles.append(text)
        self._say(f"trouble: {text}")

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(10)
            sent, answered = sum(self._load.account.sent), sum(self._watch.answered)
            self._say(f"{sent} sent, {answered} answered, {len(self.facts.faults)} faults")

    async def _wait_for_answers(self, sent: list[int], stall_seconds_max: float) -> bool:
        began = time.monotonic()
        while not self._watch.has_all(sent):
            if time.monotonic() - max(began, self._watch.last_answer_s) > stall_seconds_max:
                self._trouble(f"no answer for {stall_seconds_max} s; answered {self._watch.answered} of {sent}")
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _written(self, partitions: int) -> list[int]:
        """How many records the requests' partitions have: more than were sent where some were written twice."""
        with TopicReader(self._servers) as reader:
            return [reader.end_offset(self._request_topic, partition) for partition in range(partitions)]

    async def _judge(self) -> Verdict:
        """The checker's verdict, from a process that knows no more than anybody with access to the topics."""
        run = self._settings.home / "run.json"
        run.write_bytes(msgspec.json.encode(self.facts))
        argv = [
            *(sys.executable, "-m", "tests.torture.check", "--bootstrap", self._servers),
            *("--prefix", self._settings.topic_prefix, "--run", str(run)),
        ]
        checker = await asyncio.create_subprocess_exec(
            *tethered(argv, os.getpid()), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        output, _ = await checker.communicate()
        verdict = msgspec.json.decode(output, type=Verdict) if output else Verdict(run=self.facts)
        if checker.returncode != (0 if verdict.passed else 1):
            verdict.passed = False
            verdict.examples.append(f"the checker ended with exit code {checker.returncode}")
        return verdict

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _say(self, text: str) -> None:
        self._tell(f"{self._now():7.1f} s  {text}" if self._started else text)
