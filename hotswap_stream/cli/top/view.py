"""What `top` knows, message by message, and how it is drawn."""

import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.application.monitoring.overview import CONDITIONS, ModelLine

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hotswap_stream.application.monitoring.overview import Overview

EVENTS_SHOWN = 8
TEXT_CHARACTERS_MAX = 200
EVIDENCE_MAX = 1_000
STYLES = {"hurts": "bold red", "needs-you": "yellow", "moves": "cyan", "calm": "green"}
SHAPES = {"hurts": "▲", "needs-you": "?", "moves": "►", "calm": "·"}


class _Lines(Struct):
    models: tuple[ModelLine, ...] = ()


class _Beginning(Struct):
    offset: int
    overview: _Lines
    evidence: tuple[RolloutEvidence, ...] = ()
    training: tuple[TrainingProgressed, ...] = ()


class _Observed(Struct):
    known: bool
    lines: tuple[ModelLine, ...]


class _Event(Struct):
    offset: int
    event: dict[str, Any] | None = None
    described: str | None = None
    void_because: str | None = None


class _Heartbeat(Struct):
    offset: int
    behind_by: int | None


class TopView:
    """Made of messages of `/api/live`, or of looks at the cluster."""

    def __init__(self, model_name: str | None = None) -> None:
        self._model_name = model_name
        self.lines: dict[str, ModelLine] = {}
        self.evidence: dict[tuple[str, str, str], RolloutEvidence] = {}
        self.training: dict[str, TrainingProgressed] = {}
        self.events: deque[_Event] = deque(maxlen=EVENTS_SHOWN)
        self.away_since_s: float | None = None
        self._offset = 0
        self._behind_by: int | None = 0

    def take(self, event: str, data: bytes) -> bool:
        """Take one message; return whether anything to be seen changed. What cannot be read is passed over."""
        if event == "away":
            self.away_since_s = self.away_since_s or time.monotonic()
            return True
        self.away_since_s = None
        take = {
            "beginning": self._take_beginning,
            "observed": self._take_observed,
            "event": self._take_event,
            "evidence": self._take_evidence,
            "training": self._take_training,
            "heartbeat": self._take_heartbeat,
        }.get(event)
        try:
            return take is not None and take(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False

    def take_overview(self, found: "Overview") -> None:
        """Take a look at all models."""
        self.lines = self._mine(found.models)

    def _mine(self, lines: Iterable[ModelLine]) -> dict[str, ModelLine]:
        return {line.model_name: line for line in lines if self._model_name in (None, line.model_name)}

    def _take_beginning(self, data: bytes) -> bool:
        found = msgspec.json.decode(data, type=_Beginning)
        self.lines = self._mine(found.overview.models)
        self.evidence = {_place(each): each for each in found.evidence}
        self.training = {each.run_id: each for each in found.training if _goes_on(each)}
        self._offset, self._behind_by = found.offset, 0
        return True

    def _take_observed(self, data: bytes) -> bool:
        self.lines.update(self._mine(msgspec.json.decode(data, type=_Observed).lines))
        return True

    def _take_event(self, data: bytes) -> bool:
        found = msgspec.json.decode(data, type=_Event)
        if self._model_name in (None, (found.event or {}).get("subject")):
            self.events.append(found)
        self._offset = found.offset + 1
        return True

    def _take_evidence(self, data: bytes) -> bool:
        found = msgspec.json.decode(data, type=RolloutEvidence)
        if len(self.evidence) < EVIDENCE_MAX or _place(found) in self.evidence:
            self.evidence[_place(found)] = found
        return True

    def _take_training(self, data: bytes) -> bool:
        found = msgspec.json.decode(data, type=TrainingProgressed)
        self.training.pop(found.run_id, None)
        if _goes_on(found):
            self.training[found.run_id] = found
        return True

    def _take_heartbeat(self, data: bytes) -> bool:
        found = msgspec.json.decode(data, type=_Heartbeat)
        self._offset, self._behind_by = found.offset, found.behind_by
        return True

    def document(self) -> dict[str, Any]:
        """Return what is shown, for programs."""
        return {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "connected": self.away_since_s is None,
            "offset": self._offset,
            "models": [msgspec.to_builtins(line) for line in self._sorted()],
            "evidence": [msgspec.to_builtins(each) for each in self._evidence_shown()],
            "training": [msgspec.to_builtins(each) for each in self.training.values()],
            "events": [msgspec.to_builtins(each) for each in self.events],
        }

    def drawn(self) -> "RenderableType":
        """Return it for a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lines = self._sorted()
        counts = " · ".join(
            f"{sum(line.condition == each for line in lines)} {each.replace('-', ' ')}" for each in CONDITIONS
        )
        rates = [line.requests_per_second for line in lines if line.requests_per_second is not None]
        rate = f" · {sum(rates):,.1f} answers/s" if rates else ""
        parts: list[RenderableType] = [Text(f"{len(lines)} models{rate} · {counts}", style="bold"), self._connection()]
        table = Table(box=None, padding=(0, 1), expand=False)
        for name in ("", "model", "serves", "req/s", "p95 ms", "errors", "waiting", "workers"):
            table.add_column(name, justify="right" if name in ("req/s", "p95 ms", "errors", "waiting") else "left")
        for line in lines:
            table.add_row(
                Text(f"{SHAPES[line.condition]} {line.condition.replace('-', ' ')}", style=STYLES[line.condition]),
                Text(_plain(line.model_name)),
                Text(_plain(_serves(line))),
                _number(line.requests_per_second),
                _number(line.p95_ms),
                "" if line.error_rate is None else f"{line.error_rate:.2%}",
                _number(line.waiting),
                _workers(line),
            )
        parts.append(table)
        parts += [
            Text(_plain(f"{SHAPES[line.condition]} {line.model_name}: {reason}"), style=STYLES[line.condition])
            for line in lines
            for reason in line.reasons[:2]
        ]
        parts += [Text(_plain(_evidence_line(each)), style="dim") for each in self._evidence_shown()]
        parts += [Text(_plain(_training_line(each)), style="dim") for each in self.training.values()]
        parts += [Text(_event_line(each)) for each in reversed(self.events)]
        return Group(*parts)

    def _connection(self) -> "RenderableType":
        from rich.text import Text

        if self.away_since_s is not None:
            return Text(f"away for {time.monotonic() - self.away_since_s:.0f} s; the figures are as old", style="red")
        if self._behind_by:
            return Text(f"{self._behind_by} records behind the log", style="yellow")
        return Text(f"live · offset {self._offset} · q ends", style="dim")

    def _sorted(self) -> list[ModelLine]:
        return sorted(self.lines.values(), key=lambda line: (CONDITIONS.index(line.condition), line.model_name))

    def _evidence_shown(self) -> list[RolloutEvidence]:
        """Return that of rollouts that go on."""
        going = {name: line.rollout_id for name, line in self.lines.items() if line.rollout_id is not None}
        return [each for _, each in sorted(self.evidence.items()) if going.get(each.model_name) == each.rollout_id]


def _place(each: RolloutEvidence) -> tuple[str, str, str]:
    return each.model_name, each.model_version, each.metric


def _goes_on(each: TrainingProgressed) -> bool:
    return each.said is None and each.log is None


def _serves(line: ModelLine) -> str:
    if len(line.arms) > 1:
        return " │ ".join(f"{arm.model_version} {arm.weight / 100:g}" for arm in line.arms)
    return line.arms[0].model_version if line.arms else line.active_version or "nothing"


def _workers(line: ModelLine) -> str:
    if line.live_workers is None:
        return ""
    return f"{line.live_workers}" + (f", {line.silent_workers} silent" if line.silent_workers else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _evidence_line(each: RolloutEvidence) -> str:
    interval = "" if each.lower is None or each.upper is None else f"  {each.lower:+.4g} … {each.upper:+.4g}"
    limit = "" if each.limit is None else f"  limit {each.limit:+.4g}"
    return f"  {each.model_name} {each.rollout_id} {each.model_version} {each.metric}: {each.verdict}{interval}{limit}"


def _training_line(each: TrainingProgressed) -> str:
    far = "" if each.epoch is None else f" epoch {each.epoch}/{each.epochs or '?'}"
    return f"  {each.model_name} {each.run_id}: {each.phase}{far} on {each.runner}"


def _event_line(each: _Event) -> str:
    event = each.event or {}
    who = f" · {event.get('actor')}" if event.get("actor") else ""
    why = f": {event.get('reason')}" if event.get("reason") else ""
    void = " (void)" if each.void_because is not None else ""
    text = each.described or event.get("type") or "a record that cannot be read"
    return _plain(f"{each.offset} · {event.get('subject', '')} {text}{who}{why}{void}")


def _plain(text: str) -> str:
    """Return one short line: what others wrote must not steer the terminal."""
    return "".join(each if each.isprintable() else "�" for each in text[:TEXT_CHARACTERS_MAX])
