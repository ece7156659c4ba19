"""Who ask the models beside the tortured one, one request after the other, and look at each answer."""

import asyncio
from random import Random

import numpy as np

from hotswap_stream.client import TopicClient
from hotswap_stream.errors import HotswapError
from tests.soak.plan import SoakPlan
from tests.torture.exact_model import X_MAX, ExactModel
from tests.torture.findings import Findings

ROLLED, WINDOWED = "rolled", "windowed"
WINDOW_STEPS = 4
ANSWER_SECONDS_MAX = 60.0
_STEP_MAX = 1_000


class Askers:
    """Ask until cancelled. What was wrong is in `findings`."""

    def __init__(self, client: TopicClient, plan: SoakPlan, findings: Findings) -> None:
        self.asked = {ROLLED: 0, WINDOWED: 0}
        self.versions: set[str] = set()
        """Those of the model with rollouts that answered."""
        self._client, self._plan, self._findings = client, plan, findings

    async def ask_all(self) -> None:
        """All of them, side by side."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.rolled_askers):
                group.create_task(self._ask_rolled(number))
            for number in range(self._plan.window_series):
                group.create_task(self._ask_windowed(number))

    async def _ask_rolled(self, asker: int) -> None:
        """Each answer must be what the version that it names computes."""
        random = Random(asker)
        while True:
            a, b, c, d = (random.randint(0, X_MAX) for _ in range(4))
            self.asked[ROLLED] += 1
            try:
                answer = await self._client.infer(
                    ROLLED,
                    {"x": np.array([[a, b, c, d]], dtype="<f4")},
                    routing_key=f"u{random.randrange(1_000)}",
                    timeout_s=ANSWER_SECONDS_MAX,
                )
                self.versions.add(answer.model_version)
                wanted = ExactModel(int(answer.model_version.removeprefix("v"))).answer((a, b, c, d), 1)
                if answer.outputs["y"].tolist() != [wanted]:
                    self._findings.add("wrong-bits", f"{answer}: {wanted} is right")
            except HotswapError as error:
                self._findings.add("not-answered", f"{ROLLED}: {error!r}")
            await asyncio.sleep(self._plan.ask_seconds)

    async def _ask_windowed(self, number: int) -> None:
        """Each answer must be the mean of the last steps of this series, whoever answers."""
        random, key = Random(number), f"series-{number}"
        steps: list[float] = []
        while True:
            step = float(random.randrange(_STEP_MAX))
            self.asked[WINDOWED] += 1
            try:
                answer = await self._client.infer(
                    WINDOWED,
                    {"history": np.array([[step]], dtype="<f4")},
                    routing_key=key,
                    timeout_s=ANSWER_SECONDS_MAX,
                )
                steps = [*steps, step][-WINDOW_STEPS:]
                wanted = [[[float(np.mean(steps))]]] if len(steps) == WINDOW_STEPS else None
                given = answer.outputs.get("forecast")
                if (None if given is None else given.tolist()) != wanted:
                    self._findings.add("wrong-window", f"{key} after {steps}: {given}, not {wanted}")
            except HotswapError as error:
                self._findings.add("not-answered", f"{WINDOWED} {key}: {error!r}")
                steps = []
                return  # whether the step counts is not known: this series has shown what it can
            await asyncio.sleep(self._plan.ask_seconds)
