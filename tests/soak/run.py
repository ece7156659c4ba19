"""One long run: load, and the same changes in every tenth of it, while all processes are looked at."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import PauseStep, ProgressiveStrategy, RolloutPolicy, SetWeightStep
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.application.processes.tether import tethered
from hotswap_stream.client import TopicClient
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings, child_environment
from tests.soak.askers import ROLLED, WINDOWED, Askers
from tests.soak.once import judge_once
from tests.soak.plan import TOUCHED, SoakPlan, Step, steps_of
from tests.soak.report import Change, DiskPoint, SoakReport
from tests.soak.samples import Samples, bytes_on_disk
from tests.support.stages.windows import mean_artifact
from tests.torture.answer_watch import AnswerWatch
from tests.torture.check import Verdict, judge_topics
from tests.torture.findings import Findings
from tests.torture.plan import Plan
from tests.torture.request_kinds import MODEL
from tests.torture.request_load import RequestLoad
from tests.torture.run import FIRST_ANSWERS_SECONDS_MAX, STALL_SECONDS_MAX, NothingAnsweredError
from tests.torture.servants import Servants
from tests.torture.swapping import Operator
from tests.torture.workers import Workers

TAUGHT = "taught"
TRAINING_SECONDS_MAX = 240.0
ROLLOUT_SECONDS_MAX = 180.0
API_SECONDS = 2.0
_ROLLOUT_STEPS = (
    SetWeightStep(weight=2_500),
    PauseStep(duration_seconds=2),
    SetWeightStep(weight=7_500),
    PauseStep(duration_seconds=2),
)
_POLL_SECONDS = 0.2
_LINGER_MS = 5
"""Of the load's producers, the client's own default: a request is as old as its record says, so what it waits for
others there would be most of what is judged, and a slow worker would hardly show."""

Say = Callable[[str], None]


class Soak:
    """`data_dirs` are the brokers'."""

    def __init__(self, settings: Settings, plan: SoakPlan, seed: int, data_dirs: Sequence[Path], say: Say) -> None:
        self._settings, self._plan, self._seed, self._data_dirs, self._tell = settings, plan, seed, data_dirs, say
        self._servers = str(settings.kafka_bootstrap_servers)
        topics = Topics(settings.topic_prefix)
        load = Plan(requests_per_second=plan.requests_per_second, partitions=plan.partitions)
        self._load = RequestLoad(self._servers, topics.requests(MODEL), load, seed, linger_ms=_LINGER_MS)
        tags = bootstrap.answer_tags(settings).of(MODEL)
        self._watch = AnswerWatch(self._servers, topics.responses(MODEL), plan.partitions, tags)
        logs = settings.home / "logs"
        self._workers = Workers(settings, logs, (MODEL, ROLLED, WINDOWED))
        self._servants = Servants(settings, logs, ("agents", "api", "trainers"))
        self._operator, self._rolled = Operator(settings), Operator(settings, ROLLED)
        self._findings, self._samples = Findings(), Samples()
        self._report = SoakReport(seed=seed, plan=plan, verdict=Verdict())
        self._started = time.monotonic()

    async def run(self) -> SoakReport:
        """Do all of it, and judge. Nothing is left running.

        Raises:
            NothingAnsweredError: It could not begin.
            LoadFailedError: Requests could not be sent.
        """
        report = self._report
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._operator)
            await stack.enter_async_context(self._rolled)
            windowed = await stack.enter_async_context(Operator(self._settings, WINDOWED))
            stack.push_async_callback(self._workers.close)
            stack.push_async_callback(self._servants.close)
            stack.push_async_callback(self._load.close)
            await self._operator.prepare(self._plan.versions_first)
            await self._rolled.prepare(2)
            await windowed.serve(mean_artifact())
            stack.enter_context(self._watch)
            for name in ("w1", *TOUCHED):
                await self._workers.add(name)
            await self._servants.start()
            await self._train(Step(0.0, "train"))  # the topics of a model that is new are no growth
            await self._load.start()
            if not await self._answered([1] * self._plan.partitions, FIRST_ANSWERS_SECONDS_MAX):
                raise NothingAnsweredError(f"the workers answer nothing; their logs are in {self._settings.home}")
            client = await stack.enter_async_context(TopicClient(self._servers, prefix=self._settings.topic_prefix))
            askers = Askers(client, self._plan, self._findings)
            self._load.begin()
            self._started = time.monotonic()
            await self._under_load(askers)
            sent = await self._load.finish()
            if not await self._answered(sent, STALL_SECONDS_MAX):
                self._findings.add("stands-still", f"answered {self._watch.answered} of {sent}")
            for trouble in await self._servants.troubles(*await self._operator.stand()):
                self._findings.add("run-troubled", trouble)
            report.seconds, report.asked = round(self._now(), 1), askers.asked
            await self._workers.close()
            if self._workers.unplanned_ends:
                self._findings.add("worker-ended", f"{self._workers.unplanned_ends} times by itself")
            if len(askers.versions) < 2:
                self._findings.add("run-troubled", f"of {ROLLED} only {askers.versions} answered")
        self._say("judging")
        report.verdict = await asyncio.to_thread(judge_topics, self._servers, self._settings.topic_prefix)
        for model_name in (ROLLED, WINDOWED):
            await asyncio.to_thread(judge_once, self._servers, self._settings.topic_prefix, model_name, self._findings)
        report.series = list(self._samples.series.values())
        report.problems, report.examples = dict(self._findings.counts), list(self._findings.examples)
        report.judge()
        return report

    async def _under_load(self, askers: Askers) -> None:
        """Everything side by side until the time is over. A change that is under way then is cut off."""
        always = [asyncio.create_task(each) for each in (askers.ask_all(), self._look(), self._use_api())]
        lanes = [
            asyncio.create_task(self._lane(steps_of(self._plan, self._seed, "kill", "remove", "add"), self._worker)),
            asyncio.create_task(self._lane(steps_of(self._plan, self._seed, "swap"), self._swap)),
            asyncio.create_task(self._lane(steps_of(self._plan, self._seed, "rollout"), self._roll_out)),
            asyncio.create_task(self._lane(steps_of(self._plan, self._seed, "train"), self._train)),
        ]
        try:
            running: set[asyncio.Task[None]] = {*always, *lanes}
            while (left := self._plan.seconds - self._now()) > 0:
                done, _ = await asyncio.wait(running, timeout=min(left, 1.0), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                running -= done
                self._load.check()
        finally:
            for task in (*always, *lanes):
                task.cancel()
            await asyncio.gather(*always, *lanes, return_exceptions=True)

    async def _lane(self, steps: tuple[Step, ...], do: Callable[[Step], Coroutine[None, None, str]]) -> None:
        for step in steps:
            await asyncio.sleep(step.at_s - self._now())
            began = self._now()
            if began > step.at_s + self._plan.part_seconds:
                outcome = "left out: the one before took too long"
            else:
                try:
                    outcome = await do(step)
                except (HotswapError, TimeoutError, RuntimeError) as error:
                    outcome = f"{type(error).__name__}: {error}"
                    self._findings.add("run-troubled", f"{step.kind} {step.target}: {outcome}")
            self._report.changes.append(Change(round(began, 2), step.kind, step.target, outcome))
            self._say(f"{step.kind} {step.target}: {outcome} ({self._now() - began:.1f} s)")

    async def _worker(self, step: Step) -> str:
        kinds = {"kill": self._workers.kill, "remove": self._workers.remove, "add": self._workers.add}
        await kinds[step.kind](step.target)
        return "done"

    async def _swap(self, step: Step) -> str:
        return await self._operator.swap(step.as_swap())

    async def _roll_out(self, _step: Step) -> str:
        """A candidate gets more and more of the users, and is promoted."""
        rolled = self._rolled
        state = await rolled.state()
        candidates = [name for name, each in state.versions.items() if each.stage not in ("production", "archived")]
        candidate = candidates[0] if candidates else await rolled.register()
        started = await rolled.do(
            StartRollout(
                **rolled.meta(),
                strategy=ProgressiveStrategy(steps=_ROLLOUT_STEPS),
                candidates=(candidate,),
                policy=RolloutPolicy(promote_on_operational=True),
                forced=True,
            ),
            "rollout",
        )
        if started.status != "accepted":
            raise RuntimeError(f"the rollout of {candidate} was not begun: {started}")
        async with asyncio.timeout(ROLLOUT_SECONDS_MAX):
            while (state := await rolled.state()).rollout is not None:
                await asyncio.sleep(_POLL_SECONDS)
        if state.active_version != candidate:
            raise RuntimeError(f"{state.active_version} is active after the rollout of {candidate}")
        return f"{candidate} promoted"

    async def _train(self, _step: Step) -> str:
        """A run on request, done by the runner of this run."""
        argv = [sys.executable, "-m", "hotswap_stream.cli", "train", TAUGHT, "--trainer", "als", "--follow"]
        process = await asyncio.create_subprocess_exec(
            *tethered(argv, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(self._settings),
        )
        try:
            async with asyncio.timeout(TRAINING_SECONDS_MAX):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise RuntimeError(f"training ended with {process.returncode}: {said.decode(errors='replace')[-300:]}")
        return "trained"

    async def _look(self) -> None:
        while True:
            await asyncio.to_thread(self._look_once)
            await asyncio.sleep(self._plan.sample_seconds)

    def _look_once(self) -> None:
        now_s, samples, home = self._now(), self._samples, self._settings.home
        samples.look(now_s)
        broker = sum(bytes_on_disk(folder) for folder in self._data_dirs)
        kept = bytes_on_disk(home / "artifacts")
        samples.put(now_s, "home but artifacts", 0, "disk", bytes_on_disk(home, ["artifacts", "broker"]))
        self._report.disk.append(DiskPoint(round(now_s, 2), sum(self._watch.answered), broker, kept))

    async def _use_api(self) -> None:
        """What a page in the browser asks for."""
        async with httpx.AsyncClient(base_url=self._servants.url, timeout=30.0) as http:
            while True:
                await asyncio.sleep(API_SECONDS)
                for path in ("/api/overview", f"/api/models/{MODEL}", f"/api/models/{ROLLED}"):
                    try:
                        (await http.get(path)).raise_for_status()
                    except httpx.HTTPError as error:
                        if self._now() > self._plan.warm_up_seconds:
                            self._findings.add("api", f"{path} at {self._now():.0f} s: {error!r}")

    async def _answered(self, sent: list[int], stall_seconds_max: float) -> bool:
        began = time.monotonic()
        while not self._watch.has_all(sent):
            if time.monotonic() - max(began, self._watch.last_answer_s) > stall_seconds_max:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _say(self, text: str) -> None:
        self._tell(f"{self._now():7.1f} s  {text}")
