"""A training run from its order to the registry: started, trained, validated against the active version, or failed."""

import asyncio
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.commands import (
    CommandResult,
    FailTraining,
    ProfileVersion,
    RegisterVersion,
    StartTraining,
)
from hotswap_events.training.events import TrainingFailureCause
from hotswap_stream.application.artifacts.exporting import GraphOfArtifact, no_graph
from hotswap_stream.application.own_commands import own_id
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.evaluation import Evaluation, Evaluator, SetEvaluation
from hotswap_stream.application.training.measuring import measure_and_validate
from hotswap_stream.application.training.runs import (
    OnProgress,
    Trainer,
    TrainingFailure,
    TrainingOutcome,
    TrainingSpec,
    TrainingSucceeded,
)
from hotswap_stream.domain.deciding.limits import DETAIL_CHARACTERS_MAX
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)


class TrainingReport(Struct, frozen=True, kw_only=True):
    """What became of a run. `results` are the registry's answers, in order; the last one tells where it ended."""

    outcome: TrainingOutcome
    results: tuple[CommandResult, ...]
    model_version: str | None = None
    evaluation: Evaluation | SetEvaluation | None = None

    @property
    def ended_well(self) -> bool:
        """A version is registered and has its verdict."""
        return self.evaluation is not None and self.results[-1].status in ("accepted", "unchanged")


class TrainingRefusedError(HotswapError):
    """The registry refused to begin the run; the message says why."""


class ModelTrainer:
    """Trains versions and validates versions; every step is an event."""

    def __init__(
        self, registry: Registry, trainer: Trainer, evaluator: Evaluator, exported: GraphOfArtifact = no_graph
    ) -> None:
        self.registry = registry
        self._exported = exported
        self._trainer = trainer
        self._evaluator = evaluator

    async def train(
        self,
        spec: TrainingSpec,
        *,
        actor: str,
        reason: str | None = None,
        tags: dict[str, str] | None = None,
        model_version: str | None = None,
        promote_first: bool = True,
        on_progress: OnProgress | None = None,
        cancel: asyncio.Event | None = None,
    ) -> TrainingReport:
        """Run to a verdict or to a failure event.

        Args:
            spec: The run.
            actor: Who ordered it.
            reason: Why.
            tags: Tags of the version.
            model_version: The version's name; None: the registry gives one.
            promote_first: Whether a version that passes becomes active in the same decision if none is.
            on_progress: Called with each step that is told of.
            cancel: Ends the run when it is set.

        Raises:
            TrainingRefusedError: The registry does not let it begin.
        """
        started = await self.registry.handle(
            StartTraining(
                command_id=f"{spec.run_id}:start",
                actor=actor,
                model_name=spec.model_name,
                reason=reason,
                correlation_id=spec.run_id,
                run_id=spec.run_id,
                architecture=spec.architecture,
                data_snapshot=spec.data_file,
                parameters=spec.parameters(),
            )
        )
        if started.refusal is not None:
            raise TrainingRefusedError(started.refusal.reason)
        try:
            outcome = await self._trainer.run(spec, on_progress=on_progress, cancel=cancel)
        except asyncio.CancelledError:
            await self._fail(spec, actor, "cancelled", "the run's owner was told to stop")
            raise
        if isinstance(outcome, TrainingFailure):
            failed = await self._fail(spec, actor, outcome.cause, outcome.detail)
            return TrainingReport(outcome=outcome, results=(started, failed))
        return await self._register(spec, outcome, started, actor, reason, tags or {}, model_version, promote_first)

    async def _fail(self, spec: TrainingSpec, actor: str, cause: TrainingFailureCause, detail: str) -> CommandResult:
        return await self.registry.handle(
            FailTraining(
                command_id=own_id(f"training:{spec.run_id}:fail"),
                actor=actor,
                model_name=spec.model_name,
                correlation_id=spec.run_id,
                run_id=spec.run_id,
                cause=cause,
                detail=detail[:DETAIL_CHARACTERS_MAX],
            )
        )

    async def _register(
        self,
        spec: TrainingSpec,
        outcome: TrainingSucceeded,
        started: CommandResult,
        actor: str,
        reason: str | None,
        tags: dict[str, str],
        model_version: str | None,
        promote_first: bool,
    ) -> TrainingReport:
        registered = await self.registry.handle(
            RegisterVersion(
                command_id=own_id(f"training:{spec.run_id}:register"),
                actor=actor,
                model_name=spec.model_name,
                reason=reason,
                correlation_id=spec.run_id,
                artifact=outcome.artifact,
                graph=await self._exported(outcome.artifact.digest, outcome.manifest),
                provenance=outcome.provenance,
                model_version=model_version,
                run_id=spec.run_id,
                metrics=outcome.metrics,
                tags=tags,
            )
        )
        if registered.refusal is not None or registered.model_version is None:
            failed = await self._fail(
                spec, actor, "registry-refused", registered.refusal.reason if registered.refusal else "no version"
            )
            return TrainingReport(outcome=outcome, results=(started, registered, failed))
        profiled = await self._profile(spec, outcome, registered.model_version, actor)
        evaluation, validated = await self.validate(
            spec.model_name,
            registered.model_version,
            actor=actor,
            command_id=own_id(f"training:{spec.run_id}:validate"),
            correlation_id=spec.run_id,
            promote_first=promote_first,
        )
        return TrainingReport(
            # The sketches are in the log by now, or refused; nobody wants to read them here.
            outcome=replace(outcome, profile=None),
            results=(started, registered, *profiled, validated),
            model_version=registered.model_version,
            evaluation=evaluation,
        )

    async def _profile(
        self, spec: TrainingSpec, outcome: TrainingSucceeded, model_version: str, actor: str
    ) -> tuple[CommandResult, ...]:
        """Record the version's profile. Without one it is a version all the same: a refusal ends nothing."""
        if outcome.profile is None:
            return ()
        result = await self.registry.handle(
            ProfileVersion(
                command_id=own_id(f"training:{spec.run_id}:profile"),
                actor=actor,
                model_name=spec.model_name,
                correlation_id=spec.run_id,
                model_version=model_version,
                source=outcome.profile.source,
                rows=outcome.profile.rows,
                sketches=outcome.profile.sketches,
            )
        )
        if result.refusal is not None:
            _log.warning("profile_refused", run_id=spec.run_id, reason=result.refusal.reason)
        return (result,)

    async def validate(
        self,
        model_name: str,
        model_version: str,
        *,
        actor: str,
        command_id: str,
        correlation_id: str | None = None,
        promote_first: bool = False,
        data_file: Path | None = None,
    ) -> tuple[Evaluation | SetEvaluation, CommandResult]:
        """Measure a version and hand in its figures; see `measure_and_validate`."""
        return await measure_and_validate(
            self.registry,
            self._evaluator,
            model_name,
            model_version,
            actor=actor,
            command_id=command_id,
            correlation_id=correlation_id,
            promote_first=promote_first,
            data_file=data_file,
        )
