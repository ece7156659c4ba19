"""Command handling when the log fails in the ways a real one does, and rarely."""

from collections.abc import Sequence

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry.commands import DECIDE_ATTEMPTS_MAX
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import AppendOutcomeUnknownError, LogUnavailableError, UnreadableEventError
from tests.support.samples.registry import MODEL, CountingIds, in_envelope, register, staged, trained


class FailingLog(MemoryRegistryLog):
    """A log whose next appends fail: written or not, the writer is not told; or a rival gets in first."""

    def __init__(self, shared: MemoryRegistry) -> None:
        super().__init__(shared)
        self.failures: list[str] = []
        self._rivals = 0

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        failure = self.failures.pop(0) if self.failures else None
        if failure == "not written":
            raise AppendOutcomeUnknownError("the connection broke")
        if failure == "another came first":
            await super().append(key, [self._rival(values[0])])
        offset = await super().append(key, values)
        if failure == "written":
            raise AppendOutcomeUnknownError("the connection broke")
        return offset

    def _rival(self, value: bytes) -> bytes:
        """An event that extends the same head as `value` does."""
        event = REGISTRY_CODEC.decode(value)
        assert isinstance(event, Envelope)
        self._rivals += 1
        cause = f"rival-{self._rivals}"
        return REGISTRY_CODEC.encode(
            in_envelope(trained(cause), sequence=event.sequence, previous=event.previous, causationid=cause)
        )


class Stage:
    def __init__(self) -> None:
        self.shared = MemoryRegistry(SystemClock())
        self.log = FailingLog(self.shared)
        self.created: list[str] = []
        self.registry = Registry(
            self.log, clock=SystemClock(), ids=CountingIds(), source="/test", on_model_created=self._on_created
        )

    async def _on_created(self, model_name: str) -> None:
        self.created.append(model_name)

    async def started(self) -> "Stage":
        await self.registry.start()
        return self


async def test_an_append_that_was_written_though_not_confirmed_counts() -> None:
    stage = await Stage().started()
    stage.log.failures = ["written"]
    result = await stage.registry.handle(register("v1"))
    assert (result.status, result.sequence, result.offset) == ("unchanged", 1, 0)
    assert "did not confirm" in (result.detail or "")
    assert stage.created == [MODEL]
    await stage.registry.stop()


async def test_an_append_that_was_not_written_is_told_and_may_be_retried() -> None:
    stage = await Stage().started()
    stage.log.failures = ["not written"]
    command = register("v1")
    with pytest.raises(AppendOutcomeUnknownError) as raised:
        await stage.registry.handle(command)
    assert raised.value.retriable
    assert stage.created == []
    assert (await stage.registry.handle(command)).status == "accepted"
    assert stage.created == [MODEL]
    await stage.registry.stop()


async def test_losing_once_is_nothing_the_caller_sees() -> None:
    stage = await Stage().started()
    stage.log.failures = ["another came first"]
    result = await stage.registry.handle(register("v1"))
    assert (result.status, result.sequence, result.offset) == ("accepted", 2, 2)
    assert stage.created == []  # the rival's process created the model
    await stage.registry.stop()


async def test_losing_for_ever_ends() -> None:
    stage = await Stage().started()
    stage.log.failures = ["another came first"] * DECIDE_ATTEMPTS_MAX
    result = await stage.registry.handle(register("v1"))
    assert result.status == "failed"
    assert f"{DECIDE_ATTEMPTS_MAX} times; send it again, same command_id" in (result.detail or "")
    await stage.registry.stop()


async def test_no_decision_on_a_stream_only_a_newer_release_can_read() -> None:
    stage = await Stage().started()
    value = REGISTRY_CODEC.encode(in_envelope(staged("v1")))
    await stage.log.append(MODEL.encode(), [value.replace(b"staged.v1", b"frozen.v1")])
    await stage.registry.catch_up()
    with pytest.raises(UnreadableEventError, match=r"hotswap\.model\.frozen\.v1.*newer release"):
        await stage.registry.handle(register("v1"))
    assert (await stage.registry.handle(register("v1", model_name="other"))).status == "accepted"
    await stage.registry.stop()


async def test_a_log_that_stalls_is_told_within_its_limit() -> None:
    stage = await Stage().started()
    with pytest.raises(LogUnavailableError, match=r"stands at offset 0 for 0\.01 s; offset 4"):
        await stage.registry.wait_for_offset(5, seconds_max=0.01)
    await stage.registry.stop()


async def test_no_lock_is_kept_for_names_nobody_uses() -> None:
    stage = await Stage().started()
    for number in range(50):
        await stage.registry.handle(register("bad name", model_name=f"model-{number}"))
    assert len(stage.registry._commands._locks) == 0
    await stage.registry.stop()


async def test_use_before_start() -> None:
    with pytest.raises(LogUnavailableError, match="start the registry first"):
        await Stage().registry.wait_for_change()
