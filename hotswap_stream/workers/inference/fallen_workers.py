"""Workers that died: put out of their groups by those who live, sooner than the groups would find out.

A group waits for a member's session to end, which must be long enough for a slow machine. The fleet topic tells of a
death before. Whoever is put out and lives all the same loses nothing but its partitions: it joins again as soon as it
speaks again (`Fleet.taken_for_dead`), and what it answers meanwhile is void, as that of any zombie.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from hotswap_events.topics import Topics
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka.leave_group import put_out_of_group
from hotswap_stream.workers.inference.fleet import Fleet

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
PUT_OUT_SECONDS_MAX = 5.0
AGAIN_SECONDS = 2.0
AGAIN_SECONDS_MAX = 300.0
"""Its client leaves by itself after so long, when the process takes nothing from it (`max.poll.interval.ms`)."""
REMEMBERED_MAX = 10_000


class FallenWorkers:
    """Put the dead of all models served here out of their groups, each until its group was told.

    A process may hang in a way that its Kafka client survives: that becomes a member again, and is given partitions
    that nobody answers. So the group is asked again and again whether it is, ever more seldom, while it says nothing.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Topics,
        fleet: Fleet,
        model_names: Callable[[], Collection[str]],
    ) -> None:
        self.tasks = WatchedTasks("the watch for dead workers")
        self._client_options = dict(client_options)
        self._topics = topics
        self._fleet = fleet
        self._model_names = model_names
        self._put_out: dict[tuple[str, str], float] = {}
        """Model and worker → when its last word was appended."""
        self._not_put_out: set[tuple[str, str]] = set()
        """Those of them whose group could not be told yet."""
        self._again: dict[tuple[str, str], tuple[float, float]] = {}
        """When their group is asked again, and how long after the time before; both monotonic seconds."""

    def has(self, model_name: str, worker: str) -> bool:
        """Return whether a worker of the model is taken for dead now, or has said goodbye. For any thread."""
        return (model_name, worker) in self._put_out or self._fleet.gone(model_name, worker)

    def start(self) -> None:
        """Begin to look."""
        self.tasks.start(self._watch(), name="fallen-workers")

    async def stop(self) -> None:
        """Look no longer."""
        await self.tasks.stop()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for model_name in list(self._model_names()):
                fallen = self._fleet.fallen(model_name)
                for back in [place for place in self._put_out if place[0] == model_name and place[1] not in fallen]:
                    del self._put_out[back]
                    self._not_put_out.discard(back)
                    self._again.pop(back, None)
                for worker, appended_s in fallen.items():
                    if self._put_out.get((model_name, worker)) != appended_s:
                        self._note(model_name, worker, appended_s)
                    if (model_name, worker) in self._not_put_out or self._due(model_name, worker):
                        await self._put(model_name, worker)

    def _due(self, model_name: str, worker: str) -> bool:
        """Return whether to ask the group again."""
        next_s, pause_s = self._again[model_name, worker]
        if pause_s > AGAIN_SECONDS_MAX or time.monotonic() < next_s:
            return False
        self._ask_again(model_name, worker, 2 * pause_s)
        return True

    def _ask_again(self, model_name: str, worker: str, pause_s: float) -> None:
        self._again[model_name, worker] = time.monotonic() + pause_s, pause_s

    def _note(self, model_name: str, worker: str, appended_s: float) -> None:
        if len(self._put_out) >= REMEMBERED_MAX:
            self._put_out.clear()
            self._not_put_out.clear()
            self._again.clear()
        self._put_out[model_name, worker] = appended_s
        self._not_put_out.add((model_name, worker))
        self._ask_again(model_name, worker, AGAIN_SECONDS)
        _log.warning("worker_fallen", worker=worker, model_name=model_name)

    async def _put(self, model_name: str, worker: str) -> None:
        """Tell the group; again where its coordinator is away, too, since the next one begins all sessions anew."""
        group = self._topics.workers_group(model_name)
        try:
            async with asyncio.timeout(PUT_OUT_SECONDS_MAX):
                if await put_out_of_group(self._client_options, group, worker):
                    self._not_put_out.discard((model_name, worker))
        except TimeoutError:
            _log.warning("fallen_worker_not_put_out", worker=worker, model_name=model_name)
