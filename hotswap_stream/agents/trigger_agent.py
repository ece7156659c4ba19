"""What starts training runs by itself: observations and feedback are heard, and every second the models are looked at.

Nothing here is kept that matters: what fired, what was suppressed and the best quality are in the log, and windows fill
again. Whatever goes wrong here is logged, and touches neither rollouts nor alerts.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.inference.observation import Observation
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import FireTrigger
from hotswap_stream.agents.model_records import appended_at
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.observations.feedback import JoinedFeedback
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.analysis.entry import judged_of
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.triggers.after import after_training
from hotswap_stream.application.triggers.drift_watch import DriftWatch
from hotswap_stream.application.triggers.due import Due, command_of, refused, rows_due, schedule_due, unclaimed_run
from hotswap_stream.application.triggers.quality_watch import QualityWatch
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
MODELS_MAX = 10_000
"""Models whose windows are kept; further ones start by schedule, files, rows and hand alone, which the log tells."""
REFUSALS_KEPT_MAX = 1_000


class _Watched:
    """The windows of one model, for the policy in force."""

    def __init__(self, policy: TrainingPolicy) -> None:
        self.policy = policy
        self.drift = None if policy.drift is None else DriftWatch(policy.drift)
        self.quality = None if policy.quality is None else QualityWatch(policy.quality)


class TriggerAgent:
    """Fires the triggers of the models that this process owns, and does what is to come after a run.

    `hear` gets each observation as it is read and `hear_feedback` what came back about answers; `watch` runs beside.
    `rows_total` says how many pieces of feedback came about a model.
    """

    def __init__(self, registry: Registry, *, clock: Clock, rows_total: Callable[[str], int] | None = None) -> None:
        self._registry = registry
        self._clock = clock
        self._rows_total = rows_total
        self._models: dict[str, _Watched] = {}
        self._refused: dict[str, int] = {}
        self._failed: set[str] = set()
        self.fired_count = 0

    async def hear(self, observation: Observation, record: InboundRecord) -> None:
        """Count an observation at the time its record was appended. Never raises."""
        self.observe(observation, appended_at(record))

    def observe(self, observation: Observation, at: datetime) -> None:
        """Count an observation whose record is of this time. Never raises."""
        name = observation.model_name
        try:
            state = self._registry.state(name)
            model = self._watched(state)
            if model is not None and model.drift is not None:
                model.drift.fold(state, observation, round(at.timestamp() * 1000))
        except Exception as error:  # noqa: BLE001 - rollouts are decided by the same records
            self._say_failed(name, error)

    def wants_feedback(self, model_name: str) -> bool:
        """Return whether a trigger of the model looks at what feedback says of its answers."""
        policy = self._registry.state(model_name).triggers.policy
        return policy is not None and policy.quality is not None

    def hear_feedback(self, joined: JoinedFeedback, at: datetime) -> None:  # noqa: ARG002
        """Count what came back about an answer. Never raises."""
        name = joined.feedback.model_name
        try:
            judged, state = judged_of(joined), self._registry.state(name)
            model = self._watched(state)
            if model is not None and model.quality is not None and judged is not None:
                model.quality.judge(state, judged)
        except Exception as error:  # noqa: BLE001 - rollouts are decided by the same records
            self._say_failed(name, error)

    async def watch(self, owns: Callable[[str], bool], stopping: asyncio.Event) -> None:
        """Look again and again, until `stopping` is set."""
        while not stopping.is_set():
            waiter = asyncio.ensure_future(stopping.wait())
            await asyncio.wait({waiter}, timeout=LOOK_SECONDS)
            waiter.cancel()
            if stopping.is_set():
                return
            try:
                await self.tick(owns)
            except Exception:  # noqa: BLE001 - triggers must not end with one bad look
                _log.exception("triggers_not_looked_at")

    async def tick(self, owns: Callable[[str], bool]) -> None:
        """Look at the models that this process owns once. What failed is logged, and tried again with the next one."""
        streams = self._registry.fold.streams
        for name in [name for name in self._models if name not in streams or not owns(name)]:
            del self._models[name]
        for name, stream in list(streams.items()):
            state = stream.state
            if (state.triggers.policy is None and not state.runs) or state.unknown_event_type is not None:
                continue
            if not owns(name):
                continue
            try:
                await self._look(name)
            except HotswapError as error:
                _log.warning("trigger_not_said", model_name=name, cause=str(error))
            except Exception as error:  # noqa: BLE001 - one model that trips a bug must not silence all others
                self._say_failed(name, error)

    async def _look(self, name: str) -> None:
        state = self._registry.state(name)
        following = after_training(state)
        if following is not None:
            await self._say(following)
            state = self._registry.state(name)
        if state.triggers.policy is None:
            return
        unclaimed = unclaimed_run(state, self._clock.now())
        if unclaimed is not None:
            await self._say(unclaimed)
            state = self._registry.state(name)
        model = self._watched(state)
        peak = None if model is None or model.quality is None else model.quality.peak(state)
        if peak is not None:
            await self._say(peak)
        for look in (self._schedule, self._drift, self._quality, self._rows):
            due = look(self._registry.state(name))
            if due is not None:
                await self._fire(name, due)

    def _schedule(self, state: ModelState) -> Due | None:
        return schedule_due(state, self._clock.now())

    def _drift(self, state: ModelState) -> Due | None:
        model = self._watched(state)
        return None if model is None or model.drift is None else model.drift.due(state)

    def _quality(self, state: ModelState) -> Due | None:
        model = self._watched(state)
        return None if model is None or model.quality is None else model.quality.due(state)

    def _rows(self, state: ModelState) -> Due | None:
        return None if self._rows_total is None else rows_due(state, self._rows_total(state.model_name))

    async def _fire(self, name: str, due: Due) -> None:
        state = self._registry.state(name)
        command = command_of(state, due, self._clock.now())
        if command is None:
            return
        result = await self._say(command)
        if not isinstance(command, FireTrigger) or result is None:
            return
        if result.status in ("accepted", "unchanged"):
            self._begin_anew(name, due)
        elif result.refusal is not None:
            after = self._registry.state(name)
            told = refused(after, command, result.refusal.reason)
            if told is not None and command_of(after, due, command.at) is not None:
                await self._say(told)

    def _begin_anew(self, name: str, due: Due) -> None:
        model = self._models.get(name)
        if model is not None and due.trigger == "drift" and model.drift is not None:
            model.drift.fired()
        if model is not None and due.trigger == "quality" and model.quality is not None:
            model.quality.fired()

    async def _say(self, command: AnyCommand) -> CommandResult | None:
        """Send a command; None where the same was refused in the same state before."""
        name, sequence = command.model_name, self._registry.state(command.model_name).sequence
        if self._refused.get(command.command_id) == sequence:
            return None
        result = await self._registry.handle(command)
        if result.status == "accepted":
            self.fired_count += isinstance(command, FireTrigger)
            _log.info("trigger_said", model_name=name, events=result.event_types, detail=result.detail)
        elif result.refusal is not None:
            while len(self._refused) >= REFUSALS_KEPT_MAX:
                del self._refused[next(iter(self._refused))]
            self._refused[command.command_id] = self._registry.state(name).sequence
            _log.warning("trigger_refused", model_name=name, refusal=result.refusal)
        return result

    def _watched(self, state: ModelState) -> _Watched | None:
        """Return what is kept of the model; begun anew when its policy changed."""
        name, policy = state.model_name, state.triggers.policy
        if policy is None or (policy.drift is None and policy.quality is None):
            self._models.pop(name, None)
            return None
        model = self._models.get(name)
        if model is None and len(self._models) >= MODELS_MAX:
            self._say_failed(name, ValueError(f"{MODELS_MAX} models are watched already"))
            return None
        if model is None or (model.policy.drift, model.policy.quality) != (policy.drift, policy.quality):
            model = self._models[name] = _Watched(policy)
        return model

    def _say_failed(self, name: str, error: Exception) -> None:
        """Log the failure, once per model, so that the log does not fill."""
        if name not in self._failed and len(self._failed) < MODELS_MAX:
            self._failed.add(name)
            _log.error("triggers_of_model_failed", model_name=name, cause=f"{type(error).__name__}: {error}")
