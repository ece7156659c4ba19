"""From an answer to the event that chose its version, on a log in memory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hotswap_events.alerts.commands import RaiseAlert
from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.inference.messages import WindowFacts
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.explanation import ExplainedAnswer, explain_answer
from hotswap_stream.application.observations.feedback import FoundAnswer
from hotswap_stream.application.registry.as_of import RegistryAsOf
from hotswap_stream.application.registry.registry import Registry

MODEL = "tiny"
DIGESTS = {f"v{number}": f"sha256:{number:064}" for number in (1, 2)}


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """v1 was forced into production at offset 2, a canary with v2 began at offset 3."""
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test/explanation")
    await registry.start()
    try:
        about: dict[str, Any] = {"actor": "alice", "model_name": MODEL}
        for digest in DIGESTS.values():
            facts = ArtifactFacts(digest=digest, size_bytes=1)
            provenance = Provenance(origin="imported", created_by="alice")
            command = RegisterVersion(command_id=digest, artifact=facts, provenance=provenance, **about)
            assert (await registry.handle(command)).status == "accepted"
        for command_of in (
            SwitchVersion(command_id="c1", model_version="v1", reason="the first one", **about),
            StartRollout(
                command_id="c2",
                strategy=CanaryStrategy(weight=500),
                candidates=("v2",),
                forced=True,
                reason="let us see",
                **about,
            ),
        ):
            result = await registry.handle(command_of)
            assert result.status == "accepted", result
        yield registry
    finally:
        await registry.stop()


async def explained(registry: Registry, **changes: object) -> ExplainedAnswer:
    fields: dict[str, Any] = {
        "request_partition": 3,
        "request_offset": 41,
        "answered_at_ms": 1_700_000_000_000,
        "model_version": "v1",
        "ok": True,
        "registry_offset": 2,
        "worker": "w1",
        "artifact_digest": DIGESTS["v1"],
        **changes,
    }
    answer = FoundAnswer(**fields)
    return await explain_answer(
        MODEL, answer, log=registry.log, as_of=RegistryAsOf(registry.log), now=registry.state(MODEL)
    )


async def test_the_event_that_chose_it_says_who_and_why(registry: Registry) -> None:
    found = await explained(registry)
    assert (found.because, found.follows_the_log, found.arm) == ("in-production", True, None)
    assert found.registered_digest == found.artifact_digest == DIGESTS["v1"]
    event = found.chosen_by
    assert event is not None
    assert (event.offset, event.actor, event.reason) == (2, "alice", "the first one")
    assert event.type == "hotswap.model.promoted.v1"
    assert "alice" in event.words
    assert found.compute_again == "hotswap-stream audit reproduce tiny --partition 3 --offset 41"


async def test_the_arm_of_a_rollout(registry: Registry) -> None:
    candidate = await explained(
        registry, model_version="v2", artifact_digest=DIGESTS["v2"], registry_offset=registry.fold.next_offset - 1
    )
    assert candidate.arm is not None
    assert (candidate.because, candidate.arm.role, candidate.arm.weight) == ("arm-of-rollout", "candidate", 500)
    assert candidate.arm.rollout_id == "r1"
    assert candidate.follows_the_log is True
    baseline = await explained(registry, registry_offset=registry.fold.next_offset - 1)
    assert baseline.arm is not None
    assert (baseline.arm.role, baseline.arm.weight) == ("baseline", 9_500)


async def test_what_the_log_does_not_allow_is_told(registry: Registry) -> None:
    other = await explained(registry, artifact_digest=DIGESTS["v2"])
    assert (other.because, other.follows_the_log) == ("in-production", False)
    early = await explained(registry, model_version="v2", artifact_digest=DIGESTS["v2"])
    assert (early.because, early.follows_the_log) == ("other", False)
    unwritten = await explained(registry, registry_offset=99)
    assert unwritten.follows_the_log is False
    assert unwritten.chosen_by is not None
    assert "no record" in unwritten.chosen_by.words


async def test_one_that_was_named_stands_in_or_was_refused(registry: Registry) -> None:
    pinned = await explained(registry, model_version="v2", artifact_digest=DIGESTS["v2"], pinned=True)
    assert (pinned.because, pinned.follows_the_log) == ("named-by-request", True)
    standing_in = await explained(registry, fallback_for="v2", registry_offset=registry.fold.next_offset - 1)
    assert (standing_in.because, standing_in.stands_in_for) == ("stands-in", "v2")
    assert standing_in.arm is not None
    assert standing_in.arm.role == "candidate"
    refused = await explained(registry, model_version=None, ok=False, registry_offset=None, artifact_digest=None)
    assert (refused.because, refused.chosen_by, refused.compute_again) == ("refused", None, None)
    assert refused.follows_the_log is None


async def test_an_error_and_what_its_model_suffers_from_are_told(registry: Registry) -> None:
    window = WindowFacts(steps=2, needed=4, ready=False)
    found = await explained(registry, ok=False, error_code="model-failure", error="it broke", window=window)
    assert (found.error_code, found.error, found.window, found.alerts) == ("model-failure", "it broke", window, ())
    raised = RaiseAlert(
        command_id="a1", actor="w", model_name=MODEL, rule_name="split-series", value=3.0, above=0.0, count=20
    )
    assert (await registry.handle(raised)).status == "accepted"
    assert (await explained(registry)).alerts == ("split-series 3 series is above 0 series",)
