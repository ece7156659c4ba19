"""Who needs which artifact of a store that several environments share: marks beside the artifacts, one an environment.

Two rules make this safe without a lock, in a store that shows what was written to whoever looks afterwards:

- Who is about to name an artifact in an event marks it first, then looks for announced deletions of it, and goes on
  only when there is none.
- Who is about to delete an artifact announces that first, then looks for the marks of others, and goes on only when
  there is none.

So of two who meet, at least one sees the other. Within one environment, whose processes share a mark, a mark that was
renewed within the grace period protects as another's does: the event that it was written for may not be there yet.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, Protocol

import structlog
from msgspec import Struct

from hotswap_stream.errors import ConfigurationError, HotswapError

_log = structlog.get_logger(__name__)

WAIT_SECONDS_MAX = 10.0
"""How long a deletion by others is waited for."""
DELETION_SECONDS_MAX = 300.0
"""Whoever announced a deletion and did not come to it by then leaves it."""
DEAD_SECONDS = 2 * DELETION_SECONDS_MAX
"""An announcement that stands so long was left by somebody who died."""
_POLL_SECONDS = 0.1
_ANNOUNCED = "_deleting."
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.[A-Za-z0-9_-]{1,64}")

EnvironmentName = Callable[[], Awaitable[str]]
"""The name under which this environment marks: its topic prefix, a dot, and an id that no other has."""


class ArtifactBeingDeletedError(HotswapError):
    """Another process is deleting the artifact just now; the message says of which environment."""

    retriable = True


class ArtifactNotMarkedError(HotswapError):
    """The artifact could not be marked as needed, so nothing that names it was written."""


class Mark(Struct, frozen=True):
    """A mark of an artifact. `written_at` is by the store's own clock, as all of one store are."""

    name: str
    written_at: datetime


class ArtifactMarks(Protocol):
    """The marks of a store. Errors as of ArtifactStore; names and digests are checked before they become paths."""

    async def write(self, digest: str, name: str) -> None:
        """Write a mark, or renew it."""

    async def of(self, digest: str) -> tuple[Mark, ...]:
        """Return all marks of an artifact."""

    async def remove(self, digest: str, name: str) -> None:
        """Remove a mark; nothing happens if there is none."""

    async def all(self) -> dict[str, frozenset[str]]:
        """Return digest → names of its marks, of the whole store."""

    async def artifact_written_at(self, digest: str) -> datetime | None:
        """Return when an artifact was written, by the same clock; None if it is not there."""

    async def delete_artifact(self, digest: str) -> None:
        """Remove an artifact; nothing happens if there is none."""


class Release(Struct, frozen=True, kw_only=True):
    """What became of an artifact that an environment needs no more."""

    digest: str
    outcome: Literal["deleted", "not there", "needed", "needed elsewhere", "too young", "not ours", "left"]
    detail: str = ""

    @property
    def held_because(self) -> str | None:
        """Why its file is still in the store; None when it is not."""
        return None if self.outcome in ("deleted", "not there") else self.detail


async def _not_needed() -> bool:
    return False


def environment_name(prefix: str, unique_id: str) -> str:
    """Return the name of an environment in a store.

    Raises:
        ConfigurationError: It would not do as a file's name.
    """
    return check_environment_name(f"{prefix}.{unique_id}")


def check_environment_name(name: str) -> str:
    """Return the name as it is.

    Raises:
        ConfigurationError: It is no environment's name: nothing else ever becomes part of a path.
    """
    if not _ENVIRONMENT.fullmatch(name):
        raise ConfigurationError(
            f"{name[:200]!r} is not the name of an environment: a topic prefix, a dot, and letters, digits, '-' and '_'"
        )
    return name


def is_mark_name(name: str) -> bool:
    """Return whether a file's name is a mark's, or an announcement's."""
    return _ENVIRONMENT.fullmatch(name.removeprefix(_ANNOUNCED)) is not None


class ArtifactReferences:
    """The marks of one environment. `grace_seconds`: an artifact, or a mark, that is younger is not deleted."""

    def __init__(self, marks: ArtifactMarks, environment: EnvironmentName, *, grace_seconds: float) -> None:
        self._marks = marks
        self._ask_environment = environment
        self._environment: str | None = None
        self._grace_seconds = grace_seconds

    async def environment(self) -> str:
        """Return the name under which this environment marks."""
        if self._environment is None:
            self._environment = check_environment_name(await self._ask_environment())
        return self._environment

    async def refer(self, digest: str) -> bool:
        """Mark an artifact, before the event that names it is written.

        Returns:
            Whether the artifact is there.

        Raises:
            ArtifactBeingDeletedError: Somebody is deleting it and does not come to an end.
        """
        environment = await self.environment()
        deadline_s = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            await self._marks.write(digest, environment)
            marks = await self._marks.of(digest)
            announced = await self._alive(digest, marks)
            if not announced:
                return await self._marks.artifact_written_at(digest) is not None
            if time.monotonic() > deadline_s:
                raise ArtifactBeingDeletedError(
                    f"artifact {digest} is being deleted by {', '.join(announced)}; try again in a moment"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def release(
        self,
        digest: str,
        *,
        still_needed: Callable[[], Awaitable[bool]] = _not_needed,
        adopt: bool = True,
        grace_seconds: float | None = None,
    ) -> Release:
        """Give up an artifact, and delete it if nobody else needs it.

        Args:
            digest: Of the artifact.
            still_needed: Asked once the deletion is announced, of the registry read anew to its end.
            adopt: Mark an artifact that is not marked by this environment, and leave it until that mark is old enough:
                it is from before there were marks, and others may still have to mark it. Otherwise it is left alone.
            grace_seconds: Instead of this environment's.
        """
        environment = await self.environment()
        announcement = _ANNOUNCED + environment
        began_s = time.monotonic()
        await self._marks.write(digest, announcement)
        try:
            marks = {mark.name: mark for mark in await self._marks.of(digest)}
            if announcement not in marks:
                return Release(digest=digest, outcome="left", detail="somebody else cleared the announcement away")
            if await still_needed():
                return Release(digest=digest, outcome="needed", detail="the registry names it again")
            now = marks[announcement].written_at
            return await self._decide(digest, environment, marks, now, began_s, adopt=adopt, grace=grace_seconds)
        finally:
            await self._marks.remove(digest, announcement)

    async def _decide(
        self,
        digest: str,
        environment: str,
        marks: dict[str, Mark],
        now: datetime,
        began_s: float,
        *,
        adopt: bool,
        grace: float | None,
    ) -> Release:
        written_at = await self._marks.artifact_written_at(digest)
        others = sorted(name for name in marks if name != environment and not name.startswith(_ANNOUNCED))
        if others or written_at is None:
            await self._marks.remove(digest, environment)
            if written_at is None:
                return Release(digest=digest, outcome="not there")
            return Release(digest=digest, outcome="needed elsewhere", detail=f"{', '.join(others)} needs it")
        own = marks.get(environment)
        grace = self._grace_seconds if grace is None else grace
        if own is None:
            if not adopt:
                return Release(digest=digest, outcome="not ours", detail="no environment has marked it")
            await self._marks.write(digest, environment)
        youngest = max(written_at, now if own is None else own.written_at)
        age_seconds = max(0.0, (now - youngest).total_seconds())
        if age_seconds < grace:
            detail = f"it was put here, or asked for, {age_seconds:.0f} s ago; it stays for {grace:.0f} s"
            return Release(digest=digest, outcome="too young", detail=detail)
        if time.monotonic() - began_s > DELETION_SECONDS_MAX:
            return Release(digest=digest, outcome="left", detail="the store was too slow; clean up again")
        await self._marks.delete_artifact(digest)
        await self._marks.remove(digest, environment)
        return Release(digest=digest, outcome="deleted")

    async def marked(self) -> frozenset[str]:
        """Return the digests of the artifacts that this environment has marked, or announced to delete."""
        environment = await self.environment()
        own = {environment, _ANNOUNCED + environment}
        return frozenset(digest for digest, names in (await self._marks.all()).items() if names & own)

    async def marked_by_anybody(self) -> frozenset[str]:
        """Return the digests of the artifacts that some environment has marked, or announced to delete."""
        return frozenset(await self._marks.all())

    async def adopt(self, digests: frozenset[str]) -> frozenset[str]:
        """Mark those that this environment has not marked yet, as artifacts from before there were marks; which."""
        missing = digests - await self.marked()
        for digest in sorted(missing):
            await self.refer(digest)
        return missing

    async def environments(self) -> dict[str, int]:
        """Return environment → how many artifacts it has marked."""
        counts: dict[str, int] = {}
        for names in (await self._marks.all()).values():
            for name in {name.removeprefix(_ANNOUNCED) for name in names}:
                counts[name] = counts.get(name, 0) + 1
        return counts

    async def forget(self, environment: str) -> int:
        """Remove all marks of an environment that is gone for good; how many artifacts it had marked."""
        check_environment_name(environment)
        count = 0
        for digest, names in (await self._marks.all()).items():
            found = names & {environment, _ANNOUNCED + environment}
            for name in found:
                await self._marks.remove(digest, name)
            count += bool(found)
        return count

    async def _alive(self, digest: str, marks: tuple[Mark, ...]) -> list[str]:
        """Return the environments that are deleting it. An announcement older than anybody may take is cleared away."""
        own = max((mark.written_at for mark in marks if not mark.name.startswith(_ANNOUNCED)), default=None)
        alive = []
        for mark in marks:
            if not mark.name.startswith(_ANNOUNCED):
                continue
            if own is not None and (own - mark.written_at).total_seconds() > DEAD_SECONDS:
                _log.warning("artifact_deletion_abandoned", digest=digest, environment=mark.name)
                await self._marks.remove(digest, mark.name)
            else:
                alive.append(mark.name.removeprefix(_ANNOUNCED))
        return alive
