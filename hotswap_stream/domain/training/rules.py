"""What may happen to training runs: asked for, claimed by one runner, begun, failed, cancelled; ended once."""

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from hotswap_events.commands import (
    CancelTraining,
    ClaimTraining,
    FailTraining,
    Refusal,
    RequestTraining,
    StartTraining,
)
from hotswap_events.registry.events import RegistryEvent, TrainingFailed, TrainingStarted
from hotswap_events.training.events import (
    PARAMETERS_BYTES_MAX,
    AfterRollout,
    AskedAgain,
    TrainingCancelled,
    TrainingClaimed,
    TrainingFailureCause,
    TrainingRequested,
)
from hotswap_stream.domain.dataset_rules import resolve_dataset
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import NAMES_LISTED_MAX, Accepted, Decision, invalid
from hotswap_stream.domain.rollouts.limits import wrong_rollout_policy, wrong_strategy
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.runs import RunState

RUNS_OPEN_MAX = 100
"""Runs of a model that are asked for or under way."""
ASKED_AGAIN_AFTER: frozenset[TrainingFailureCause] = frozenset({"silent", "crashed", "artifact-store"})
"""What may go well the next time."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}")
_TRAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RUNNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DATASET = re.compile(r"sha256:[0-9a-f]{64}|[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def wrong_trainer_name(name: str) -> str | None:
    """Return why this cannot be the name of a trainer, or None. It is a name: no path, no command."""
    if _TRAINER.fullmatch(name):
        return None
    return (
        f"trainer {name[:100]!r} is not valid: letters, digits, '.', '_' and '-', starting with a letter or digit, at "
        "most 63 characters"
    )


def _wrong_request(command: RequestTraining) -> str | None:
    if not _RUN_ID.fullmatch(command.run_id):
        return (
            f"run id {command.run_id[:100]!r} is not valid: letters, digits, '.', '_', '-', ':' and '~', starting "
            "with a letter or digit, at most 128 characters"
        )
    for dataset in command.datasets:
        if not _DATASET.fullmatch(dataset):
            return (
                f"dataset {dataset[:100]!r} is not valid: a digest ('sha256:' and 64 lower-case hex digits) or a name"
            )
    if len(set(command.datasets)) != len(command.datasets):
        return "datasets name one twice"
    return (
        wrong_trainer_name(command.trainer)
        or limits.wrong_shape(_requested(command), TrainingRequested)
        or _wrong_parameters(command)
        or _wrong_after(command)
    )


def _wrong_parameters(command: RequestTraining) -> str | None:
    for name, value in command.parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"parameter {name[:100]!r} is {value}; a finite number is needed"
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"parameter {name[:100]!r} does not fit into 64 bits"
    size = len(msgspec.json.encode(command.parameters))
    if size > PARAMETERS_BYTES_MAX:
        return f"the parameters have {size} bytes as JSON; at most {PARAMETERS_BYTES_MAX} are kept"
    return None


def _wrong_after(command: RequestTraining) -> str | None:
    after = command.after
    if not isinstance(after, AfterRollout):
        return None
    return wrong_strategy(after.strategy) or wrong_rollout_policy(after.policy, after.strategy)


def _requested(command: RequestTraining) -> TrainingRequested:
    return TrainingRequested(
        run_id=command.run_id,
        trainer=command.trainer,
        parameters=command.parameters,
        datasets=command.datasets,
        after=command.after,
        cause=command.cause,
        retries=command.retries,
        seconds_max=command.seconds_max,
    )


def request_training(state: ModelState, command: RequestTraining) -> Decision:
    """Decide a request; also for whoever decides it together with something else, such as a trigger that fires."""
    if wrong := _wrong_request(command):
        return invalid(wrong)
    resolved = _resolved(state, command.datasets)
    if isinstance(resolved, Refusal):
        return resolved
    requested = replace(_requested(command), datasets=resolved)
    known = state.runs.get(command.run_id)
    if known is not None and known.request == requested:
        return Accepted((), f"training run {command.run_id!r} was asked for already; it is {known.status}")
    return _taken(state, command.run_id) or _too_many(state) or Accepted((requested,))


def _resolved(state: ModelState, datasets: tuple[str, ...]) -> tuple[str, ...] | Refusal:
    """Return the digests, so that the event names the same bytes whatever a name stands for later."""
    digests = []
    for named in datasets:
        found = resolve_dataset(state, named)
        if found is None and not _DIGEST.fullmatch(named):
            newest = tuple(reversed(state.dataset_names))[:NAMES_LISTED_MAX]
            return invalid(
                f"{state.model_name!r} has no dataset {named!r}; it has {', '.join(newest) or 'none with a name'}"
            )
        digests.append(named if found is None else found.built.artifact_digest)
    return tuple(dict.fromkeys(digests))


def _taken(state: ModelState, run_id: str) -> Refusal | None:
    if run_id in state.runs:
        return Refusal(code="invalid-value", reason=f"run id {run_id!r} is taken; give each run its own")
    return None


def _too_many(state: ModelState) -> Refusal | None:
    count = sum(run.is_open for run in state.runs.values())
    if count < RUNS_OPEN_MAX:
        return None
    return Refusal(
        code="illegal-step",
        reason=f"{state.model_name!r} has {count} training runs that are asked for or under way, the most "
        "there may be: wait for one to end, or cancel one",
    )


def _open_run(state: ModelState, run_id: str) -> RunState | Refusal:
    run = state.runs.get(run_id)
    if run is None:
        return Refusal(code="unknown-run", reason=f"no training run {run_id[:128]!r} was started or asked for")
    return run if run.is_open else _ended(run)


def _ended(run: RunState) -> Refusal:
    return Refusal(code="illegal-step", reason=f"training run {run.run_id!r} has ended already: {run.status}")


def _claim(state: ModelState, command: ClaimTraining) -> Decision:
    run = _open_run(state, command.run_id)
    if isinstance(run, Refusal):
        return run
    if not _RUNNER.fullmatch(command.runner):
        return invalid(
            f"runner {command.runner[:100]!r} is not valid: letters, digits, '.', '_', '-', ':', '/' and '@'"
        )
    if run.status == "requested":
        return Accepted((TrainingClaimed(run_id=run.run_id, runner=command.runner),))
    if run.runner == command.runner:
        return Accepted((), f"training run {run.run_id!r} is yours already")
    whose = "nobody may claim it" if run.runner is None else f"{run.runner} has it"
    return Refusal(code="conflict", reason=f"training run {run.run_id!r} is {run.status}; {whose}")


def _start(state: ModelState, command: StartTraining) -> Decision:
    if wrong := limits.wrong_labels("parameters", command.parameters) or limits.wrong_texts(
        "training", {"architecture": command.architecture, "data_snapshot": command.data_snapshot}
    ):
        return invalid(wrong)
    known = state.runs.get(command.run_id)
    if known is not None and known.status == "requested":
        return Refusal(code="illegal-step", reason=f"training run {command.run_id!r} must be claimed first")
    if (known is None or known.status != "claimed") and (no := _taken(state, command.run_id) or _too_many(state)):
        return no
    return Accepted(
        (
            TrainingStarted(
                run_id=command.run_id,
                architecture=command.architecture,
                data_snapshot=command.data_snapshot,
                parameters=command.parameters,
            ),
        )
    )


def _fail(state: ModelState, command: FailTraining) -> Decision:
    run = _open_run(state, command.run_id)
    if isinstance(run, Refusal):
        return run
    if command.cause == "unclaimed" and run.status != "requested":
        return Refusal(code="conflict", reason=f"training run {run.run_id!r} is {run.status}: {run.runner} has it")
    detail = command.detail[: limits.DETAIL_CHARACTERS_MAX]
    failed = TrainingFailed(run_id=command.run_id, cause=command.cause, detail=detail)
    return Accepted((failed, *_again(state, run, command.cause)))


def _again(state: ModelState, run: RunState, cause: TrainingFailureCause) -> tuple[RegistryEvent, ...]:
    """Return the request for the next attempt, in the same decision: no agent can forget it, none can ask twice."""
    request = run.request
    if request is None or cause not in ASKED_AGAIN_AFTER:
        return ()
    before = request.cause
    first, attempt = (before.run_id, before.attempt) if isinstance(before, AskedAgain) else (run.run_id, 1)
    # The name of an attempt hangs on the first one's, which must leave room for it.
    run_id = f"{first[:120]}~{attempt + 1}"
    if attempt > request.retries or run_id in state.runs:
        return ()
    return (replace(request, run_id=run_id, cause=AskedAgain(run_id=first, attempt=attempt + 1)),)


def _cancel(state: ModelState, command: CancelTraining) -> Decision:
    known = state.runs.get(command.run_id)
    if known is not None and known.status == "cancelled":
        return Accepted((), f"training run {command.run_id!r} is cancelled already")
    run = _open_run(state, command.run_id)
    return run if isinstance(run, Refusal) else Accepted((TrainingCancelled(run_id=run.run_id),))


def unfit_run(state: ModelState, run_id: str | None) -> Refusal | None:
    """Return why no version can come of this run, or None. One that is not known here may have run elsewhere."""
    run = None if run_id is None else state.runs.get(run_id)
    if run is None or run.status == "running":
        return None
    if run.is_open:
        return Refusal(code="illegal-step", reason=f"training run {run.run_id!r} has not begun: it is {run.status}")
    return _ended(run)


TRAINING_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    RequestTraining: request_training,
    ClaimTraining: _claim,
    CancelTraining: _cancel,
    StartTraining: _start,
    FailTraining: _fail,
}
