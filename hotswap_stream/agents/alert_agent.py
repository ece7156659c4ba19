"""What alerts come from: each observation is counted, and every second the models of this process are judged.

Nothing here is kept: what was raised is in the log, and windows fill again. Whatever goes wrong here is logged, and
never touches the rollouts, whose agent hears the same observations.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from hotswap_events.alerts.commands import AlertCommand
from hotswap_events.alerts.events import AlertRule
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.profile import ModelProfiled
from hotswap_stream.agents.broker_clock import BrokerClock
from hotswap_stream.agents.model_records import appended_at
from hotswap_stream.application.alerts.asked import AskedTopics
from hotswap_stream.application.alerts.figures import (
    Figure,
    Measured,
    Reference,
    silent_figure,
    waiting_run_figure,
    window_figure,
)
from hotswap_stream.application.alerts.judge import RuleWatch, judge, kept_away, watched
from hotswap_stream.application.alerts.window import DRIFT_METRICS, METRICS_OF_TOPICS, AlertWindows
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.inference.fleet import FleetView
from hotswap_stream.application.inference.lag import RequestLag
from hotswap_stream.application.observations.feedback import JoinedFeedback
from hotswap_stream.application.observations.sketch import readable_sketches
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.analysis.entry import judged_of
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.windows.split import SplitView
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_ALERTS
from hotswap_stream.domain.state.alerts import AlertsState
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

JUDGE_SECONDS = 1.0
LAG_SECONDS = 5.0
"""How often the broker is asked how many requests wait."""
BEHIND = timedelta(seconds=5)
"""Windows say nothing while the observations that are read are older than this, and for the same time after."""
BLIND_SECONDS_MAX = 60.0
"""After this time in which windows said nothing, the log tells of it."""
MODELS_MAX = 10_000
"""Models watched at a time; further ones are not, which the log tells."""
REFUSALS_KEPT_MAX = 64


class _Watched:
    """One model: its windows for the rules in force, and the memory of each rule."""

    def __init__(self, rules: tuple[AlertRule, ...], begun_ms: int) -> None:
        self.rules = rules
        self._begun_ms = begun_ms
        self.metrics = {rule.metric for rule in rules if rule.metric in DRIFT_METRICS}
        self.windows = AlertWindows(rules)
        self.watches: dict[str, RuleWatch] = {}
        self.refused: dict[str, AlertsState] = {}
        self._figures: dict[str, tuple[int, Figure]] = {}
        self._reference: tuple[ModelProfiled, Reference] | None = None

    def figure(self, rule: AlertRule, state: ModelState, now_ms: int) -> Figure:
        """Return the figure of a rule on a window; it is made anew when the window has moved on by a bucket."""
        if rule.metric == "answers-per-second":
            if state.active_version is None or state.serving.disabled:
                return "nothing"  # nobody is to answer
            if now_ms - self._begun_ms < rule.window_seconds * 1000:
                return "too-little"  # what was answered before is not known here
        made_ms, figure = self._figures.get(rule.name, (0, "nothing"))
        if now_ms - made_ms >= self.windows.of(rule).bucket_ms:
            reference = self.reference(state) if rule.metric in self.metrics else None
            figure = window_figure(rule, self.windows, reference, now_ms=now_ms)
            self._figures[rule.name] = now_ms, figure
        return figure

    def reference(self, state: ModelState) -> Reference | None:
        """Return the active version's profile; None without one, or without a rule that compares with it.

        Sketches in it that are none are passed over.
        """
        profile = None if state.active is None else state.active.profile
        if profile is None or not self.metrics:
            return None
        if self._reference is None or self._reference[0] is not profile:
            self._reference = profile, Reference(profile.model_version, readable_sketches(profile.sketches))
        return self._reference[1]


class AlertAgent:
    """Raises and clears the alerts of the models that this process owns.

    `hear` gets each observation as it is read; `watch` runs beside. Without `lag`, `fleet` or `split` rules on
    them say nothing.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        clock: Clock,
        lag: RequestLag | None = None,
        lag_seconds: float = LAG_SECONDS,
        fleet: FleetView | None = None,
        split: SplitView | None = None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._broker_clock = BrokerClock()
        self._fleet = fleet
        self._topics = AskedTopics(lag, split, timedelta(seconds=lag_seconds), clock.now())
        self._models: dict[str, _Watched] = {}
        self._looked_at = clock.now()
        self._fresh_from = self._looked_at + BEHIND
        self._age = timedelta()
        self._blind_since: datetime | None = None
        self._blind_told = False
        self._failed: set[str] = set()
        self.said_count = 0

    async def hear(self, observation: Observation, record: InboundRecord) -> None:
        """Count an observation at the time its record was appended. Never raises."""
        self.observe(observation, appended_at(record))

    def observe(self, record: Observation, at: datetime) -> None:
        """Count an observation whose record is of this time. Never raises."""
        name = record.model_name
        try:
            own = self._clock.now()
            if self._broker_clock.seen(at, own):
                ahead_s = self._broker_clock.ahead.total_seconds()
                _log.warning("clocks_differ", broker_ahead_seconds=round(ahead_s, 1))
            now = self._broker_clock.now(own)
            if now - at > BEHIND:
                self._fresh_from, self._age = now + BEHIND, now - at
            state = self._registry.state(name)
            model = self._watched(name, state.alerts.effective_policy.rules)
            if model is not None:
                model.windows.fold(record, round(at.timestamp() * 1000), lambda: _wanted(model, state, record))
        except Exception as error:  # noqa: BLE001 - rollouts are decided by the same records
            self._say_failed(name, error)

    def wants_feedback(self, model_name: str) -> bool:
        """Return whether a rule of the model is on what feedback makes."""
        rules = self._registry.state(model_name).alerts.effective_policy.rules
        return any(rule.metric in FEEDBACK_ALERTS for rule in rules)

    def hear_feedback(self, joined: JoinedFeedback, at: datetime) -> None:
        """Count what came back at this time about an answer. Never raises."""
        name = joined.feedback.model_name
        try:
            judged = judged_of(joined)
            model = self._watched(name, self._registry.state(name).alerts.effective_policy.rules)
            if model is not None and judged is not None:
                model.windows.judge(judged, round(at.timestamp() * 1000))
        except Exception as error:  # noqa: BLE001 - rollouts are decided by the same records
            self._say_failed(name, error)

    async def watch(self, owns: Callable[[str], bool], stopping: asyncio.Event) -> None:
        """Judge again and again, until `stopping` is set."""
        while not stopping.is_set():
            waiter = asyncio.ensure_future(stopping.wait())
            await asyncio.wait({waiter}, timeout=JUDGE_SECONDS)
            waiter.cancel()
            if stopping.is_set():
                return
            try:
                await self.tick(owns)
            except Exception:  # noqa: BLE001 - alerts must not end with one bad look
                _log.exception("alerts_not_judged")

    def _now(self) -> datetime:
        """Return the time by the broker's clock, as far as it is known: observations have its times."""
        return self._broker_clock.now(self._clock.now())

    async def tick(self, owns: Callable[[str], bool]) -> None:
        """Judge the models that this process owns once. What failed is logged, and tried again with the next one."""
        self._heed_clock()
        streams = self._registry.fold.streams
        owned = [name for name, stream in list(streams.items()) if owns(name) and _decidable(stream.state)]
        for name in [name for name in self._models if name not in streams or not owns(name)]:
            del self._models[name]
        try:
            rules = {name: self._registry.state(name).alerts.effective_policy.rules for name in owned}
            await self._topics.ask(rules, self._now())
        except HotswapError as error:
            _log.warning("alert_lag_unknown", cause=str(error))
        for name in owned:
            try:
                await self._judge(name)
            except HotswapError as error:
                _log.warning("alert_not_said", model_name=name, cause=str(error))
            except Exception as error:  # noqa: BLE001 - one model that trips a bug must not silence all others
                self._say_failed(name, error)

    def _heed_clock(self) -> None:
        """Begin anew where the clock was set back.

        What is of a time to come would stay in its windows and keep others out. Tell where windows say nothing for
        long, which looks like a model that is well.
        """
        now, before = self._now(), self._looked_at
        self._looked_at = now
        if before - now > BEHIND:
            _log.warning("alerts_begin_anew", cause=f"the clock was set back by {(before - now).total_seconds():.0f} s")
            self._models.clear()
            self._topics.begin_anew(now)
            self._fresh_from, self._blind_since = now + BEHIND, None
        if now >= self._fresh_from:
            if self._blind_told:
                _log.info("alerts_see_again")
            self._blind_since, self._blind_told = None, False
            return
        self._blind_since = self._blind_since or now
        if not self._blind_told and (now - self._blind_since).total_seconds() >= BLIND_SECONDS_MAX:
            self._blind_told = True
            _log.warning(
                "alerts_blind",
                cause=f"observations that come are {self._age.total_seconds():.0f} s old, so rules other than lag say "
                "nothing: the agents are behind",
            )

    async def _judge(self, name: str) -> None:
        state = self._registry.state(name)
        rules = state.alerts.effective_policy.rules
        model = self._watched(name, rules)
        if model is None:
            return
        now = self._now()
        now_s = now.timestamp()
        now_ms = round(now_s * 1000)
        nothing_said = not state.alerts.raised and not state.alerts.snoozes
        nothing_said &= not any(rule.metric == "answers-per-second" for rule in rules)  # nothing is a figure of it
        quiet = nothing_said and self._topics.calm(name) and model.windows.quiet(now_ms)
        silent = self._silent(name) if any(rule.metric == "silent-workers" for rule in rules) else "nothing"
        run = waiting_run_figure(state, now)
        if quiet and not run.count and not (isinstance(silent, Measured) and silent.value):
            model.watches = {}  # nothing is above anything
            return
        fresh = now >= self._fresh_from
        figures: dict[str, Figure] = {}
        for rule in rules:
            if rule.metric == "silent-workers":
                figures[rule.name] = silent
            elif rule.metric == "waiting-run":
                figures[rule.name] = run
            elif rule.metric in METRICS_OF_TOPICS:
                figures[rule.name] = self._topics.figure(rule, name, state)
            elif fresh:
                try:
                    figures[rule.name] = model.figure(rule, state, now_ms)
                except Exception as error:  # noqa: BLE001 - one rule must not silence the model's others
                    figures[rule.name] = "too-little"
                    self._say_failed(name, error)
            else:
                figures[rule.name] = "too-little"
        model.watches = {
            rule.name: watched(
                rule,
                model.watches.get(rule.name),
                figures[rule.name],
                now_s,
                raised=rule.name in state.alerts.raised or kept_away(state.alerts, rule.name, now_s),
            )
            for rule in rules
        }
        for command in list(judge(name, state.alerts, state.active_version, figures, model.watches, now_s)):
            await self._say(model, state.alerts, command)

    def _silent(self, name: str) -> Figure:
        if self._fleet is None or not self._fleet.known:
            return "too-little"
        return silent_figure(self._fleet.workers(name))

    async def _say(self, model: _Watched, alerts: AlertsState, command: AlertCommand) -> None:
        if model.refused.get(command.command_id) == alerts:
            return
        result = await self._registry.handle(as_own(command))
        if result.status == "accepted":
            self.said_count += 1
            _log.info("alert_said", model_name=command.model_name, events=result.event_types, reason=command.reason)
        elif result.status != "failed" and self._registry.state(command.model_name).alerts == alerts:
            # Nobody was faster: it would be refused again.
            if len(model.refused) >= REFUSALS_KEPT_MAX:
                model.refused.clear()
            model.refused[command.command_id] = alerts
            _log.warning("alert_refused", model_name=command.model_name, status=result.status, refusal=result.refusal)

    def _watched(self, name: str, rules: tuple[AlertRule, ...]) -> _Watched | None:
        """Return what is kept of the model; begun anew when its rules changed."""
        model = self._models.get(name)
        if model is None and len(self._models) >= MODELS_MAX:
            self._say_failed(name, ValueError(f"{MODELS_MAX} models are watched already"))
            return None
        if model is None or model.rules != rules:
            model = self._models[name] = _Watched(rules, round(self._now().timestamp() * 1000))
        return model

    def _say_failed(self, name: str, error: Exception) -> None:
        """Log the failure, once per model, so that the log does not fill."""
        if name not in self._failed and len(self._failed) < MODELS_MAX:
            self._failed.add(name)
            _log.error("alerts_of_model_failed", model_name=name, cause=f"{type(error).__name__}: {error}")


def _wanted(model: _Watched, state: ModelState, record: Observation) -> Iterable[str]:
    """Return the names of the sketches in the observation that the rules compare."""
    if record.model_version != state.active_version:
        return ()
    reference = model.reference(state)
    return () if reference is None else {name for metric in model.metrics for name in reference.names(metric)}


def _decidable(state: ModelState) -> bool:
    return state.unknown_event_type is None
