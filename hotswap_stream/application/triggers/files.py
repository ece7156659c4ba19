"""A file of a watched folder starts a run: once by its content, under the model's training policy."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.commands import CommandResult
from hotswap_events.training.triggers import FireTrigger, SuppressTrigger
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.triggers.due import refused
from hotswap_stream.application.triggers.ids import suppressed_id, trigger_id
from hotswap_stream.domain.reserved import TRAINING_ACTOR
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.suppression import suppression

NAME_CHARACTERS_MAX = 100


class FileFired(Struct, frozen=True):
    """What became of a file: `fired` a run is asked for, `known` it was before, `waits` something keeps it back."""

    what: Literal["fired", "known", "waits"]
    why: str


class FileTrigger:
    """Fires the trigger `files` of one model."""

    def __init__(self, registry: Registry, clock: Clock, model_name: str) -> None:
        self._registry = registry
        self._clock = clock
        self._model_name = model_name

    async def keeps(self, name: str) -> str | None:
        """Return why no file can start a run now, which is said in the log once; None: one can.

        Args:
            name: The file that waits, for people.
        """
        await self._registry.catch_up()
        state, now = self._registry.state(self._model_name), self._clock.now()
        policy = state.triggers.policy
        if policy is None or policy.data is None or not policy.data.files:
            return f"the training policy of {self._model_name!r} does not say that files start runs"
        kept = suppression(state, policy, "files", now)
        if kept is None:
            return None
        if ("files", kept.cause) not in state.triggers.suppressed:
            await self._registry.handle(
                SuppressTrigger(
                    command_id=suppressed_id(state, "files", kept.cause),
                    actor=TRAINING_ACTOR,
                    model_name=self._model_name,
                    trigger="files",
                    slot=_shortened(name),
                    at=now,
                    detail=kept.detail,
                    cause=kept.cause,
                )
            )
        return f"{kept.cause}: {kept.detail}"

    async def fire(self, digest: str, name: str) -> FileFired:
        """Ask for a run on a dataset that lies in the store.

        Args:
            digest: Of the dataset.
            name: The file's, for people.
        """
        command = self._command(digest, name, self._clock.now())
        result = await self._registry.handle(command)
        state = self._registry.state(self._model_name)
        if result.status == "accepted":
            return FileFired("fired", f"{name} started training run {self._run_of(state, digest)}")
        if result.status == "unchanged":
            return FileFired("known", result.detail or "it started a run before")
        if result.refusal is not None and result.refusal.code == "invalid-value":
            await self.say_bad(name, result.refusal.reason)
        return FileFired("waits", _reason(result))

    async def say_bad(self, name: str, why: str) -> None:
        """Say in the log that a file cannot be used; the first one since a run was started."""
        state, now = self._registry.state(self._model_name), self._clock.now()
        told = refused(state, self._command(_shortened(name), name, now), f"{_shortened(name)}: {why}")
        if told is not None:
            await self._registry.handle(told)

    def _command(self, slot: str, name: str, now: datetime) -> FireTrigger:
        return FireTrigger(
            command_id=trigger_id(self._model_name, "files", slot),
            actor=TRAINING_ACTOR,
            model_name=self._model_name,
            trigger="files",
            slot=slot,
            at=now,
            datasets=(slot,),
            detail=f"file {_shortened(name)}",
        )

    @staticmethod
    def _run_of(state: ModelState, digest: str) -> str | None:
        last = state.triggers.last.get("files")
        return last.run_id if last is not None and last.slot == digest else None


def _shortened(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:NAME_CHARACTERS_MAX]


def _reason(result: CommandResult) -> str:
    return result.refusal.reason if result.refusal is not None else result.detail or "try again"
