"""The act of the demo about a model from elsewhere: published, promoted and swapped beside the digits."""

import asyncio
from typing import Any

import numpy as np

from hotswap_stream import bootstrap
from hotswap_stream.cli.demo.forests import Forest, grown_forest
from hotswap_stream.cli.demo.report import Act
from hotswap_stream.cli.demo.scene import EVENT_SECONDS_MAX, Scene, refusal
from hotswap_stream.client import InferenceUnavailableError, NoModelTopicsError, TopicClient

PUBLISHED_MODEL = "tumours"
TREES = (9, 61)
"""Odd, so that no vote of two classes is a tie: the graph's 32 bits need not break one as the estimator does."""
IN_FLIGHT = 8
ASK_SECONDS_MAX = 10.0
NOT_YET_SECONDS = 0.1


class PublishActs:
    """Plays the act on a scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._answered: dict[str, int] = {}
        self._wrong = 0

    async def published_model(self) -> Act:
        """Publish a random forest of scikit-learn, promote it, and swap in a larger one while it is asked."""
        scene = self._scene
        forests = {f"v{number}": await asyncio.to_thread(grown_forest, trees) for number, trees in enumerate(TREES, 1)}
        refused = await self._promoted("v1", forests["v1"], None)
        options = bootstrap.connection(scene.settings).client_options()
        if not refused:
            async with TopicClient(
                options, prefix=scene.settings.topic_prefix, answers_key=scene.settings.answers_key
            ) as client:
                await self._ask_until("v1", client, forests)
                asking = [asyncio.create_task(self._ask_until("v2", client, forests)) for _ in range(IN_FLIGHT)]
                refused = await self._promoted("v2", forests["v2"], forests["v1"])
                if refused:
                    for task in asking:
                        task.cancel()
                await asyncio.gather(*asking, return_exceptions=bool(refused))
        answers = sum(self._answered.values())
        held = not refused and not self._wrong and set(self._answered) == set(forests)
        alike = f"{self._wrong} not as scikit-learn's own" if self._wrong else "all as scikit-learn's own"
        shares = ", ".join(f"{name} {forest.accuracy:.1%} right" for name, forest in forests.items())
        return scene.act(
            "publish a random forest of scikit-learn, swap it",
            refused or f"{shares}; {answers} answers by topic while v2 took over, {alike}",
            held,
            scene.active_offset(PUBLISHED_MODEL),
            figures={
                "answers": answers,
                "answers_unlike_the_estimator": self._wrong,
                **{f"answers_by_{name}": count for name, count in self._answered.items()},
                **{f"accuracy_of_{name}": forest.accuracy for name, forest in forests.items()},
            },
        )

    async def _promoted(self, version: str, forest: Forest, before: Forest | None) -> str:
        """Publish a forest over HTTP and have it promoted by its figures; return why not, or nothing."""
        from hotswap_stream.client import publish_async

        published = await publish_async(
            forest.estimator,
            PUBLISHED_MODEL,
            example=forest.example,
            labels=("malignant", "benign"),
            url=self._scene.stack.api_url,
            api_key=self._scene.settings.api_key,
            progress=False,
        )
        figures = {"accuracy": forest.accuracy}
        body: dict[str, Any] = {"figures": figures, "validation_set": "every other row", "promote_first": True}
        if before is not None:
            body |= {"baseline_version": "v1", "baseline_figures": {"accuracy": before.accuracy}}
        path = f"/versions/{published.model_version}"
        refused = refusal(await self._scene.post(f"{path}/validate", body, PUBLISHED_MODEL))
        if not refused and before is not None:
            refused = refusal(await self._scene.post(f"{path}/promote", {}, PUBLISHED_MODEL))
        return refused or ("" if published.model_version == version else f"it became {published.model_version}")

    async def _ask_until(self, version: str, client: TopicClient, forests: dict[str, Forest]) -> None:
        """Ask about one row after the other until this version answers."""
        generator = np.random.default_rng(len(self._answered))
        async with asyncio.timeout(EVENT_SECONDS_MAX):
            while True:
                row = int(generator.integers(len(forests[version].rows)))
                rows = forests[version].rows[row : row + 1]
                try:
                    answer = await client.infer(PUBLISHED_MODEL, {"x": rows}, timeout_s=ASK_SECONDS_MAX)
                except (NoModelTopicsError, InferenceUnavailableError):
                    # Its topics are made, and the worker loads it, after the event of the first promotion.
                    await asyncio.sleep(NOT_YET_SECONDS)
                    continue
                by = answer.model_version
                self._answered[by] = self._answered.get(by, 0) + 1
                self._wrong += int(answer.outputs["label"].ravel()[0]) != int(forests[by].predicted[row])
                if by == version:
                    return
