"""Measuring a version and the active one on one set, and handing in the figures for a verdict."""

from pathlib import Path
from typing import Protocol

from hotswap_events.commands import CommandResult, ValidateVersion
from hotswap_events.registry.version_options import PLAIN
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.evaluation import Evaluation, Evaluator, SetEvaluation
from hotswap_stream.errors import HotswapError

EVALUATIONS_MAX = 3
"""If another version becomes active while one is evaluated, the comparison is made anew this often."""


class MeasureVersion(Protocol):
    """Measures versions for a server."""

    async def __call__(
        self,
        model_name: str,
        model_version: str,
        *,
        actor: str,
        command_id: str,
        actor_by: str | None = None,
        reason: str | None = None,
    ) -> tuple[Evaluation | SetEvaluation, CommandResult]:
        """See `measure_and_validate`."""
        ...


async def measure_and_validate(
    registry: Registry,
    evaluator: Evaluator,
    model_name: str,
    model_version: str,
    *,
    actor: str,
    command_id: str,
    correlation_id: str | None = None,
    promote_first: bool = False,
    data_file: Path | None = None,
    actor_by: str | None = None,
    reason: str | None = None,
) -> tuple[Evaluation | SetEvaluation, CommandResult]:
    """Measure a version and the active one on one validation set, and hand in the figures.

    The set is that in `data_file`, or the model's own, or the bundled digits for a model that has none. Its digest
    is recorded.

    Raises:
        HotswapError: The version does not exist, or its artifact cannot be measured.
    """
    for _attempt in range(EVALUATIONS_MAX):
        state = registry.state(model_name)
        version = state.versions.get(model_version)
        if version is None:
            raise HotswapError(
                f"{model_name!r} has no version {model_version!r}; it has {', '.join(state.versions) or 'none'}"
            )
        active = None if state.active_version == model_version else state.active
        measured = await evaluator.measure(
            version.artifact.digest,
            compared_with=None if active is None else active.artifact.digest,
            options=version.options,
            compared_options=PLAIN if active is None else active.options,
            data_file=data_file,
            validation_set=state.validation_set,
        )
        evaluation, baseline = measured.candidate, measured.compared
        result = await registry.handle(
            ValidateVersion(
                command_id=command_id,
                actor=actor,
                reason=reason,
                model_name=model_name,
                correlation_id=correlation_id,
                model_version=model_version,
                validation_set=evaluation.validation_set,
                figures=evaluation.figures(),
                baseline_version=None if active is None or baseline is None else active.model_version,
                baseline_figures={} if baseline is None else baseline.figures(),
                promote_first=promote_first,
            ),
            actor_by=actor_by,
        )
        if result.refusal is None or result.refusal.code != "conflict":
            break
    return evaluation, result
