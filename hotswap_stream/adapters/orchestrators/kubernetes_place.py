"""Runs that are done by Jobs of Kubernetes, whose containers report to the desk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from hotswap_stream.adapters.orchestrators.desk import Desk, ReportedRun
from hotswap_stream.adapters.orchestrators.job_template import Json, job_for, trainer_container
from hotswap_stream.adapters.orchestrators.kubernetes_api import KubernetesApi, KubernetesError
from hotswap_stream.application.trainers.place import OnLine, RunFailedError, RunningTrainer, TrainerEnd
from hotswap_stream.application.trainers.protocol import TrainerOrder

LOOK_SECONDS = 2.0
END_SECONDS_MAX = 5.0
"""Time for the report of a container that has ended to come in."""
CREATE_ATTEMPTS_MAX = 4
DELETE_ATTEMPTS_MAX = 3
_log = structlog.get_logger(__name__)


class KubernetesPlace:
    """See TrainerPlace."""

    grace_seconds = None

    def __init__(
        self,
        template: Json,
        *,
        api: KubernetesApi,
        desk: Desk,
        look_seconds: float = LOOK_SECONDS,
        end_seconds_max: float = END_SECONDS_MAX,
    ) -> None:
        self._template = template
        self._api = api
        self._desk = desk
        self._look_seconds = look_seconds
        self._end_seconds_max = end_seconds_max

    def open(self, order: TrainerOrder, folder: Path) -> AbstractAsyncContextManager[RunningTrainer]:
        """See TrainerPlace."""
        return self._open(order, folder)

    @asynccontextmanager
    async def _open(self, order: TrainerOrder, folder: Path) -> AsyncIterator[RunningTrainer]:
        run = self._desk.open(order, folder)
        job = job_for(self._template, run, self._desk.url_of(run))
        watched = _WatchedJob(self._api, run, job, self._look_seconds, self._end_seconds_max)
        try:
            yield watched
        finally:
            self._desk.close(run)
            if watched.is_asked:
                await asyncio.shield(watched.delete())


class _WatchedJob:
    """See RunningTrainer."""

    def __init__(
        self, api: KubernetesApi, run: ReportedRun, job: Json, look_seconds: float, end_seconds_max: float
    ) -> None:
        self._api = api
        self._run = run
        self._job = job
        self._name = str(job["metadata"]["name"])
        self._look_seconds = look_seconds
        self._end_seconds_max = end_seconds_max
        self._pods_log = ""
        self.is_asked = False

    @property
    def log(self) -> str:
        return self._run.log or self._pods_log

    def stop(self) -> None:
        self._run.stop()

    async def listen(self, on_line: OnLine) -> TrainerEnd:
        self._run.on_line = on_line
        self.is_asked = True
        await self._create()
        self._run.is_alive()
        hearing = asyncio.create_task(self._run.listen(on_line))
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({hearing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                # The last word of a container that has ended may still be on its way.
                await asyncio.wait({hearing}, timeout=self._end_seconds_max)
            end = hearing.result() if hearing.done() else watching.result()
            return await self._explained(end)
        finally:
            for task in (hearing, watching):
                task.cancel()
            await asyncio.gather(hearing, watching, return_exceptions=True)

    async def _create(self) -> None:
        for attempt in range(1, CREATE_ATTEMPTS_MAX + 1):
            try:
                await self._api.create_job(self._job)
            except KubernetesError as error:
                refused = error.status is not None and 400 <= error.status < 500 and error.status not in (408, 429)
                if refused:
                    self.is_asked = False
                    raise RunFailedError("not-possible", f"the cluster takes no Job for it: {error}") from error
                if attempt == CREATE_ATTEMPTS_MAX:
                    raise RunFailedError("crashed", f"the cluster takes no Job for it: {error}") from error
                await asyncio.sleep(self._look_seconds)
            else:
                return

    async def _watch(self) -> TrainerEnd:
        """Return when the Job has ended, or is not there any more."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                job = await self._api.job(self._name)
            except KubernetesError as error:
                # What the container reports goes on being heard.
                _log.warning("job_not_seen", job=self._name, run_id=self._run.order.run_id, reason=str(error))
                continue
            if job is None:
                return TrainerEnd(cause="crashed", detail=f"Job {self._name} vanished: somebody deleted it")
            end = _end_of(job, self._name)
            if end is not None:
                return end

    async def _explained(self, end: TrainerEnd) -> TrainerEnd:
        """Add what the cluster says of the pods of a Job that did not end by its own word."""
        if end.cause is None or self._run.ended is not None:
            return end
        with suppress(KubernetesError):
            pods = await self._api.pods_of(self._name)
            told = [text for pod in pods[-1:] for text in _told(pod)]
            over = any(text.startswith("OOMKilled") for text in told)
            for pod in pods[-1:]:
                name, container = str(_at(pod, "metadata", "name")), str(trainer_container(self._job).get("name"))
                with suppress(KubernetesError):
                    self._pods_log = await self._api.log_of(name, container)
            detail = "; ".join([end.detail, *told])
            return TrainerEnd(cause="over-limit" if over else end.cause, detail=detail)
        return end

    async def delete(self) -> None:
        """Delete the Job with its pods."""
        for attempt in range(1, DELETE_ATTEMPTS_MAX + 1):
            try:
                await self._api.delete_job(self._name)
            except KubernetesError as error:
                _log.warning("job_not_deleted", job=self._name, run_id=self._run.order.run_id, reason=str(error))
                if attempt < DELETE_ATTEMPTS_MAX:
                    await asyncio.sleep(self._look_seconds)
            else:
                return


def _end_of(job: Json, name: str) -> TrainerEnd | None:
    conditions = _at(job, "status", "conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if _at(condition, "status") != "True":
            continue
        if _at(condition, "type") == "Complete":
            return TrainerEnd(cause="crashed", detail=f"Job {name} completed, and nothing reported how the run ended")
        if _at(condition, "type") == "Failed":
            reason, message = _text(_at(condition, "reason")), _text(_at(condition, "message"))
            cause: Any = "timed-out" if reason == "DeadlineExceeded" else "crashed"
            return TrainerEnd(cause=cause, detail=f"Job {name} failed: {reason}: {message}")
    return None


def _told(pod: Json) -> list[str]:
    """Say why a pod waits, or how it ended."""
    conditions = _at(pod, "status", "conditions")
    found = [
        f"{_text(_at(condition, 'reason'))}: {_text(_at(condition, 'message'))}"
        for condition in (conditions if isinstance(conditions, list) else ())
        if _at(condition, "type") == "PodScheduled" and _at(condition, "status") == "False"
    ]
    statuses = _at(pod, "status", "containerStatuses")
    for status in statuses if isinstance(statuses, list) else ():
        for kind in ("waiting", "terminated"):
            state = _at(status, "state", kind)
            if isinstance(state, dict):
                code = state.get("exitCode")
                ended = f" (exit code {code})" if isinstance(code, int) else ""
                found.append(f"{_text(state.get('reason'))}{ended}: {_text(state.get('message'))}".rstrip(": "))
    return found


def _at(found: Any, *names: str) -> Any:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _text(found: object) -> str:
    text = found if isinstance(found, str) else ""
    return "".join(each if each.isprintable() else " " for each in text)[:300]
