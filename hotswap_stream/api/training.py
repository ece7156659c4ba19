"""Training runs: started by hand with a reason, and what became of them."""

from typing import Literal

from litestar import Controller, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Struct

from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import Problem, ProblemError, refused
from hotswap_stream.api.registry.bodies import TrainingBody
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.queries import unknown_model
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.domain.deciding.limits import wrong_model_name

RUNS_LISTED_MAX = 1_000

NO_TRAINING = ResponseSpec(Problem, generate_examples=False, description="This server starts no training runs")


class TrainingRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run. Its events are in the log under the run's id as `correlationid`."""

    run_id: str
    model_name: str
    status: Literal["accepted", "requested", "claimed", "running", "succeeded", "failed", "cancelled"]
    detail: str | None = None
    """Of a failed run: the cause."""


class TrainingRuns(Struct, frozen=True, kw_only=True):
    """Newest first, at most 1,000."""

    runs: tuple[TrainingRun, ...]
    total: int


class TrainingRunController(Controller):
    """Training runs of one model."""

    path = "/api/models/{model_name:str}/training-runs"
    tags = ("training",)

    @get("/", operation_id="list_training_runs", responses=QUERY_PROBLEM_RESPONSES)
    async def list_runs(self, runtime: Runtime, model_name: ModelNameInPath) -> TrainingRuns:
        """What became of each run."""
        streams = runtime.registry.fold.streams
        stream = streams.get(model_name)
        if stream is None:
            raise refused(unknown_model(streams, model_name))
        runs = [
            TrainingRun(run_id=run.run_id, model_name=model_name, status=run.status, detail=run.detail)
            for run in reversed(stream.state.runs.values())
        ]
        return TrainingRuns(runs=tuple(runs[:RUNS_LISTED_MAX]), total=len(runs))

    @post(
        "/",
        status_code=202,
        operation_id="start_training_run",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES | {501: NO_TRAINING},
    )
    async def start_run(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[TrainingBody],
    ) -> TrainingRun:
        """Start a run on the bundled data. Its id is the command id; the same id again starts nothing."""
        start = runtime.services.start_training
        if start is None:
            raise ProblemError(
                501, "no-training-here", "this server starts no training runs; use `hotswap-stream train`"
            )
        if wrong := wrong_model_name(model_name):
            raise ProblemError(422, "invalid-value", wrong)
        context = command_context(command_headers, data, runtime.services.ids)
        known = runtime.registry.state(model_name).runs.get(context.command_id)
        if known is not None:
            return TrainingRun(run_id=known.run_id, model_name=model_name, status=known.status, detail=known.detail)
        spec = TrainingSpec(
            run_id=context.command_id,
            model_name=model_name,
            architecture=data.architecture,
            epochs=data.epochs,
            batch_size=data.batch_size,
            learning_rate=data.learning_rate,
            seed=data.seed,
            created_by=context.actor,
        )
        await start(spec, context.reason)
        return TrainingRun(run_id=spec.run_id, model_name=model_name, status="accepted")
