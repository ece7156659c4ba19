"""One model's circuits in one worker: what it measures, which requests are probes, and the commands that follow.

Workers that come to the same end make one event: a circuit's `since_sequence` names the state in which it was measured,
and what is about an earlier one is refused.
"""

from threading import Lock
from typing import Any

from hotswap_events.command import ACTOR_CHARACTERS_MAX
from hotswap_events.commands import AnyCommand
from hotswap_events.serving.commands import CloseCircuit, HalfOpenCircuit, OpenCircuit
from hotswap_stream.application.serving.breaker import REPEAT_SECONDS, CircuitBreaker, ProbePlan, Trip
from hotswap_stream.domain.reserved import WORKER_ACTOR
from hotswap_stream.domain.serving.route import circuit_of
from hotswap_stream.domain.state.circuits import DEFAULT_SERVING_POLICY, CircuitState
from hotswap_stream.domain.state.model import ModelState

_TOO_MANY = {"error-rate": "failures", "latency": "slow answers"}


class CircuitGuard:
    """Measures one model's versions in one worker. Any thread.

    `update` with each state of the model; `observe` each batch; hand the commands that come out to the registry. One
    that is lost on the way comes again.
    """

    def __init__(self, model_name: str, worker: str) -> None:
        self._model_name = model_name
        self._worker = worker
        self._lock = Lock()
        self._breaker = CircuitBreaker(DEFAULT_SERVING_POLICY)
        self._circuits: dict[str, CircuitState] = {}
        self._plans: dict[str, ProbePlan] = {}
        """Plans for the versions whose circuits are half-open."""
        self._active: str | None = None
        self._said_at_s: dict[tuple[str, int], float] = {}
        self._open_since_s: dict[tuple[str, int], float] = {}
        """When each circuit was first seen open here, in monotonic seconds."""

    @property
    def latency_ms_max(self) -> float | None:
        """A forward pass that took longer counts as slow; None: none does."""
        return self._breaker.policy.latency_ms_max

    def update(self, state: ModelState) -> None:
        """Take in the model's policy and circuits."""
        policy = state.serving.effective_policy
        circuits = {
            name: circuit_of(state, version) for name, version in state.versions.items() if version.stage != "archived"
        }
        with self._lock:
            self._active = state.active_version
            if policy != self._breaker.policy:
                self._breaker = CircuitBreaker(policy)
                self._plans.clear()
            for name in {*self._circuits, *circuits}:
                if self._circuits.get(name) != circuits.get(name):
                    self._breaker.reset(name)
                    self._plans.pop(name, None)
            self._circuits = circuits
            current = {(name, circuit.since_sequence) for name, circuit in circuits.items()}
            self._said_at_s = {key: at for key, at in self._said_at_s.items() if key in current}
            self._open_since_s = {key: at for key, at in self._open_since_s.items() if key in current}
            for name, circuit in circuits.items():
                if circuit.position == "half-open" and name not in self._plans:
                    self._plans[name] = ProbePlan(policy)

    def pick_probes(self, requests: int, model_version: str | None = None) -> tuple[int, ...]:
        """Choose which of the next requests are probes: sent to a version although its circuit is half-open.

        `observe` the probes' answers with `probes=True`; call `probes_lost` for those that the version could not be
        given.

        Args:
            requests: How many requests come next that the version should answer.
            model_version: The version; None: the active one.

        Returns:
            Indices among those requests, ascending.
        """
        with self._lock:
            plan = self._plans.get(model_version or self._active or "")
            return () if plan is None else plan.pick(requests)

    def probes_lost(self, count: int, model_version: str | None = None) -> None:
        """Take in that `count` probes were never answered by the version: others may take their place."""
        with self._lock:
            plan = self._plans.get(model_version or self._active or "")
            if plan is not None:
                plan.observe(lost=count)

    def drop_probes(self) -> None:
        """Take in that nothing is being answered any more: probes under way are lost, and others take their place."""
        with self._lock:
            for plan in self._plans.values():
                plan.forget_under_way()

    def observe(
        self, model_version: str, *, answers: int, errors: int, slow: int, now_s: float, probes: bool = False
    ) -> AnyCommand | None:
        """Count a batch that this version answered.

        Args:
            model_version: The version.
            answers: How many answers there are.
            errors: How many are the model's own failures.
            slow: How many took longer than `latency_ms_max`, errors not among them.
            now_s: Monotonic seconds.
            probes: Whether the requests were probes.

        Returns:
            The command that follows from it, if any.
        """
        with self._lock:
            circuit = self._circuits.get(model_version)
            if circuit is None:
                return None
            if probes:
                plan = self._plans.get(model_version)
                if plan is None:
                    return None
                plan.observe(passed=answers - errors - slow, failed=errors + slow)
                return self._probe_command(model_version, plan, now_s)
            if circuit.position != "closed":
                return None
            trip = self._breaker.observe(model_version, answers=answers, errors=errors, slow=slow, now_s=now_s)
            return None if trip is None else self._open(model_version, circuit, trip)

    def due(self, now_s: float) -> list[AnyCommand]:
        """Return the commands that are due by time: call it about twice a second, with monotonic seconds.

        A circuit counts as open since it was first seen so here: the event's own time is by the clock of the worker
        that opened it. After a restart it stays open for `open_seconds` once more.
        """
        with self._lock:
            commands: list[AnyCommand] = []
            open_seconds = self._breaker.policy.open_seconds
            for name, circuit in self._circuits.items():
                if circuit.position != "open":
                    continue
                since_s = self._open_since_s.setdefault((name, circuit.since_sequence), now_s)
                if now_s - since_s >= open_seconds and self._may_say(name, circuit, now_s):
                    commands.append(self._half_open(name, circuit))
            said = (self._probe_command(name, plan, now_s) for name, plan in self._plans.items())
            return [*commands, *(command for command in said if command is not None)]

    def _may_say(self, name: str, circuit: CircuitState, now_s: float) -> bool:
        key = (name, circuit.since_sequence)
        if now_s - self._said_at_s.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._said_at_s[key] = now_s
        return True

    def _probe_command(self, name: str, plan: ProbePlan, now_s: float) -> AnyCommand | None:
        circuit = self._circuits[name]
        if plan.verdict is None or not self._may_say(name, circuit, now_s):
            return None
        figures = {"probes_passed": float(plan.passed), "probes_failed": float(plan.failed)}
        if plan.verdict == "reopen":
            return OpenCircuit(
                **self._fields("reopen", circuit, f"a probe of {name} failed"),
                model_version=name,
                cause="probe-failed",
                figures=figures,
                worker=self._worker,
            )
        return CloseCircuit(
            **self._fields("close", circuit, f"{plan.passed} probes of {name} passed"),
            model_version=name,
            cause="probes-passed",
            figures=figures,
            worker=self._worker,
        )

    def _open(self, name: str, circuit: CircuitState, trip: Trip) -> OpenCircuit:
        return OpenCircuit(
            **self._fields("open", circuit, f"too many {_TOO_MANY[trip.cause]} by {name}"),
            model_version=name,
            cause=trip.cause,
            figures=trip.figures,
            worker=self._worker,
        )

    def _half_open(self, name: str, circuit: CircuitState) -> HalfOpenCircuit:
        fields = self._fields("half-open", circuit, f"open for {self._breaker.policy.open_seconds:g} s")
        return HalfOpenCircuit(**fields, model_version=name)

    def _fields(self, step: str, circuit: CircuitState, reason: str) -> dict[str, Any]:
        return {
            "command_id": f"circuit-{step}:{self._model_name}:{circuit.since_sequence}",
            "actor": f"{WORKER_ACTOR}{self._worker}"[:ACTOR_CHARACTERS_MAX],
            "model_name": self._model_name,
            "reason": reason,
            "since_sequence": circuit.since_sequence,
        }
