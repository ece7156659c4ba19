"""Training runs of this server, and what became of all."""

from typing import Annotated, Literal

from litestar import Controller, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, PathParameter
from msgspec import Struct

from hotswap_events.training.progress import RunFile, TrainingProgressed
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import Problem, ProblemError, found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.registry.bodies import TrainingBody
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.trainers.run_files import RunFilesError, fetch_file
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.application.training.view import TrainingRun, TrainingRuns, find_run, list_runs
from hotswap_stream.domain.deciding.limits import wrong_model_name
from hotswap_stream.domain.state.runs import RunStatus

NO_TRAINING = ResponseSpec(Problem, generate_examples=False, description="This server starts no training runs")


class StartedRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that this server started."""

    run_id: str
    model_name: str
    status: Literal["accepted", "requested", "claimed", "running", "succeeded", "failed", "cancelled"]
    detail: str | None = None
    """The cause, where the run failed."""


RunInPath = Annotated[str, PathParameter(max_length=128, description="Id of the run.")]


@get(
    "/api/training-runs",
    operation_id="list_all_training_runs",
    tags=["training"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_training_runs(streams: PastOrPresent, status: FromQuery[RunStatus | None] = None) -> TrainingRuns:
    """Training runs of all models, newest first: of one status, if it is given."""
    return found(list_runs(streams, status=status))


FileInPath = Annotated[str, PathParameter(max_length=128, description="Name of the file.")]


class RunFilesReport(Struct, frozen=True, kw_only=True):
    """Files of one run; none where it left none, goes on, or newer runs took their place."""

    run_id: str
    model_name: str
    files: tuple[RunFile, ...]


def _progress(runtime: Runtime, model_name: str, run_id: str) -> TrainingProgressed:
    run = found(find_run(runtime.registry.fold.streams, model_name, run_id))
    heard = runtime.services.training_progress
    progress = None if heard is None else heard.fold.of(run_id, model_name, run.runner)
    if progress is None:
        raise ProblemError(404, "unknown-run", f"nothing was heard yet of how far training run {run_id!r} is")
    return progress


class TrainingRunController(Controller):
    """Training runs of one model."""

    path = "/api/models/{model_name:str}/training-runs"
    tags = ("training",)

    @get("/", operation_id="list_training_runs", responses=QUERY_PROBLEM_RESPONSES)
    async def list_model_runs(
        self, streams: PastOrPresent, model_name: ModelNameInPath, status: FromQuery[RunStatus | None] = None
    ) -> Response[TrainingRuns]:
        """What became of each run."""
        runs = found(list_runs(streams, model_name, status))
        return Response(runs, headers={"ETag": f'"{streams[model_name].state.sequence}"'})

    @get("/{run_id:str}", operation_id="get_training_run", responses=QUERY_PROBLEM_RESPONSES)
    async def get_run(self, streams: PastOrPresent, model_name: ModelNameInPath, run_id: RunInPath) -> TrainingRun:
        """One run: who asked for what, who does it, and what came of it."""
        return found(find_run(streams, model_name, run_id))

    @get("/{run_id:str}/progress", operation_id="get_training_progress", responses=QUERY_PROBLEM_RESPONSES)
    async def get_progress(
        self, runtime: Runtime, model_name: ModelNameInPath, run_id: RunInPath
    ) -> TrainingProgressed:
        """How far a run is, as its runner said last; of one that ended, its epochs' figures and its log's end."""
        return _progress(runtime, model_name, run_id)

    @get("/{run_id:str}/files", operation_id="list_training_files", responses=QUERY_PROBLEM_RESPONSES)
    async def list_files(self, runtime: Runtime, model_name: ModelNameInPath, run_id: RunInPath) -> RunFilesReport:
        """Files that a run left beside its artifact: plots, tables, its log. Those of newer runs take their place."""
        kept = _progress(runtime, model_name, run_id).kept
        return RunFilesReport(run_id=run_id, model_name=model_name, files=() if kept is None else kept.files)

    @get(
        "/{run_id:str}/files/{file_name:str}",
        operation_id="get_training_file",
        responses=QUERY_PROBLEM_RESPONSES,
        media_type="application/octet-stream",
    )
    async def get_file(
        self, runtime: Runtime, model_name: ModelNameInPath, run_id: RunInPath, file_name: FileInPath
    ) -> Response[bytes]:
        """One file, checked against its digest. It is always handed out as a download: whoever trains wrote it."""
        progress = _progress(runtime, model_name, run_id)
        try:
            content = await fetch_file(runtime.services.artifacts, progress, file_name)
        except RunFilesError as error:
            raise ProblemError(404, "unknown-run", str(error)) from error
        headers = {
            "Content-Disposition": f'attachment; filename="{file_name}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        return Response(content, headers=headers, media_type="application/octet-stream")

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
    ) -> StartedRun:
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
            return StartedRun(run_id=known.run_id, model_name=model_name, status=known.status, detail=known.detail)
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
        return StartedRun(run_id=spec.run_id, model_name=model_name, status="accepted")
