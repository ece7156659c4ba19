"""The part of a release's history that has training runs which were asked for."""

from typing import Protocol

from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.training.events import AskedAsRepeat
from tests.support.samples.registry import artifact_of, fail_training, register, start_training
from tests.support.samples.training import BY_DRIFT, CANARY, DATASET, cancel, claim, request
from tests.support.samples.triggers import POLICY, set_training_policy


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def training(writers: Sender) -> None:
    """A run begins the model; runs are claimed, begun, fail, are asked for again, are cancelled, and succeed."""
    await writers.send(
        request("run-1", parameters={"epochs": 3, "rate": 0.5, "augment": True, "note": "ä", "none": None}),
        claim("run-1"),
        start_training("run-1", actor="trainer:runner-1"),
        register("v1", run_id="run-1", artifact=artifact_of("v1")),
        request("run-2", datasets=(DATASET,), cause=BY_DRIFT, after=CANARY, retries=2, seconds_max=3_600),
        claim("run-2", "runner-2"),
        fail_training("run-2", cause="silent", reason="nothing was heard of runner-2 for 60 s"),
        claim("run-2~2"),
        fail_training("run-2~2", cause="bad-output"),
        request("run-3", after="shadow", cause=AskedAsRepeat(run_id="run-1"), reason="to compare"),
        cancel("run-3", reason="the data were wrong"),
    )


async def unclaimed(writers: Sender) -> None:
    """A policy says how long a run may wait for a runner; one that waited longer is failed, another one is taken."""
    await writers.send(
        set_training_policy(replace(POLICY, unclaimed_seconds_max=60.0)),
        request("run-1"),
        fail_training("run-1", cause="unclaimed", reason="no runner took it within 60 s"),
        request("run-2"),
        claim("run-2"),
    )
