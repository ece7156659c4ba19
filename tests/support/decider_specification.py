"""given / when / then for `decide`.

given(trained("v1"), validated("v1")).when(promote("v1")).then(promoted("v1"))
given(trained("v1")).when(promote("v1")).then_refused("illegal-step", "not been validated")
"""

from collections.abc import Sequence

from hotswap_events.commands import AnyCommand, Refusal, RefusalCode
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.domain.decide import Accepted, Decision, decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
from tests.support.samples.registry import MODEL, in_envelope


def state_after(*events: RegistryEvent, model_name: str = MODEL) -> ModelState:
    """The state that the events lead to, the first one having sequence 1."""
    state = ModelState(model_name)
    for event in events:
        state = evolve(state, in_envelope(event, sequence=state.sequence + 1, subject=model_name))
    return state


class Outcome:
    """What `decide` said, and the assertions on it."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    @property
    def decision(self) -> Decision:
        """Itself, where the events do not matter."""
        return self._decision

    def then(self, *events: RegistryEvent) -> None:
        """Accepted, with exactly these events."""
        assert isinstance(self._decision, Accepted), self._decision
        assert self._decision.events == events

    def and_says(self, *words: str) -> None:
        """What whoever asked is told has these words."""
        assert isinstance(self._decision, Accepted), self._decision
        _assert_words(self._decision.note or "", words)

    def then_nothing(self, *words: str) -> None:
        """Accepted without an event, for a reason that has these words."""
        assert isinstance(self._decision, Accepted), self._decision
        assert self._decision.events == ()
        _assert_words(self._decision.note or "", words)

    def then_refused(self, code: RefusalCode, *words: str, legal: Sequence[str] | None = None) -> None:
        """Refused with this code and a reason that has these words; `legal` are the steps or names it offers."""
        assert isinstance(self._decision, Refusal), self._decision
        assert self._decision.code == code, self._decision
        _assert_words(self._decision.reason, words)
        if legal is not None:
            assert self._decision.legal == tuple(legal)
        if code == "illegal-step":
            _assert_words(self._decision.reason, self._decision.legal if "legal:" in self._decision.reason else ())


class Given:
    """A state, waiting for a command."""

    def __init__(self, state: ModelState, policy: ValidationPolicy = DEFAULT_VALIDATION_POLICY) -> None:
        self.state = state
        self._policy = policy

    def under(self, policy: ValidationPolicy) -> "Given":
        """The same, judged by another validation policy."""
        return Given(self.state, policy)

    def when(self, command: AnyCommand) -> Outcome:
        """Decide; the state must come out of it unchanged."""
        before = self.state.copy()
        decision = decide(self.state, command, self._policy)
        assert self.state == before, "decide changed the state"
        return Outcome(decision)


def given(*events: RegistryEvent) -> Given:
    """The model after these events; none: a model that does not exist."""
    return Given(state_after(*events))


def _assert_words(text: str, words: Sequence[str]) -> None:
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in: {text}"
