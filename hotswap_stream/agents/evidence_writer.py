"""Writes once a second what each rollout that goes on shows, for whoever draws it: see `hotswap.evidence`.

Nothing is decided by these records, so what cannot be written is left out: the next second has newer ones.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.topics import Topics
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.analysis.entry import AnalysisEntry
from hotswap_stream.application.rollouts.analysis.evidence import evidence_of
from hotswap_stream.application.rollouts.analysis.phases import in_step_with
from hotswap_stream.application.topics.records import OutboundRecord, Publisher

_log = structlog.get_logger(__name__)

SECONDS_AT_ONCE_MAX = 0.5
"""What takes longer goes on a second later, with the models that had no turn."""
RECORDS_AT_ONCE = 100
_HEADERS = (("content-type", b"application/json"),)

EntryOf = Callable[[str], AnalysisEntry]
"""What was folded of a model."""


class EvidenceWriter:
    """Writes about the models whose records this process gets. `entry_of` gives what the decisions are made by."""

    def __init__(
        self, registry: Registry, publisher: Publisher, topics: Topics, entry_of: EntryOf, *, clock: Clock
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._topic = topics.evidence
        self._entry_of = entry_of
        self._clock = clock
        self._encoder = msgspec.json.Encoder()
        self._last = ""
        """The model that had its turn last."""
        self._well = True
        self.written_count = 0

    async def write(self, owns: Callable[[str], bool], read_to: datetime | None) -> None:
        """Write what the rollouts show. Raises nothing that belongs to a record or to the topic.

        Args:
            owns: Whether this process gets the records of a model of this name.
            read_to: How far time has come, by what was read; None: nobody can tell.
        """
        names = sorted(
            name
            for name, stream in self._registry.fold.streams.items()
            if stream.state.rollout is not None and stream.state.unknown_event_type is None and owns(name)
        )
        in_turn = [name for name in names if name > self._last] + [name for name in names if name <= self._last]
        deadline_s = time.monotonic() + SECONDS_AT_ONCE_MAX
        records: list[RolloutEvidence] = []
        for name in in_turn:
            records += self._shown(name, read_to)
            self._last = name
            if len(records) >= RECORDS_AT_ONCE:
                await self._send(records)
                records = []
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(0)
        if records:
            await self._send(records)

    def _shown(self, model_name: str, read_to: datetime | None) -> tuple[RolloutEvidence, ...]:
        stream = self._registry.stream(model_name)
        rollout = None if stream is None else stream.state.rollout
        if stream is None or rollout is None:
            return ()
        try:
            entry = self._entry_of(model_name)
            table = in_step_with(entry.table, rollout).rollout
            if table is None:
                return ()
            return evidence_of(
                model_name,
                rollout,
                table,
                at=self._clock.now(),
                now=rollout.phase_started_at if read_to is None else read_to,
                read_up_to=entry.read_up_to,
                offset=stream.offset,
            )
        except Exception:  # noqa: BLE001 - figures that nothing can be said of are no fault of the other models
            self._say("evidence_not_computed", model_name=model_name)
            return ()

    async def _send(self, records: list[RolloutEvidence]) -> None:
        found = await asyncio.gather(*map(self._publish, records), return_exceptions=True)
        failed = next((each for each in found if isinstance(each, Exception)), None)
        self.written_count += sum(each is None for each in found)
        if failed is not None:
            self._say("evidence_not_written", cause=repr(failed))
        elif not self._well:
            self._well = True
            _log.info("evidence_written_again")

    async def _publish(self, record: RolloutEvidence) -> None:
        await self._publisher.publish(
            OutboundRecord(
                topic=self._topic,
                key=record.model_name.encode(),
                value=self._encoder.encode(record),
                headers=_HEADERS,
            )
        )

    def _say(self, what: str, **fields: str) -> None:
        """Log it, once until all is well again, so that the log does not fill."""
        if self._well:
            self._well = False
            _log.warning(what, exc_info=what == "evidence_not_computed", **fields)
