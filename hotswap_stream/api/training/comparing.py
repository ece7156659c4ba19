"""Training runs beside each other, and their epochs as pictures."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.params import QueryParameter

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.api.training.runs import RunInPath
from hotswap_stream.application.training.comparison import (
    RunComparison,
    compared,
    comparison_svg,
    run_svg,
    wrong_comparison,
)
from hotswap_stream.application.training.view import TrainingRun, find_run

SVG = "image/svg+xml"
RunsInQuery = Annotated[
    str, QueryParameter(max_length=2_048, description="Ids of two to eight runs, separated by commas.")
]


class TrainingComparisons(Controller):
    """What came of runs that were asked for differently."""

    path = "/api/models/{model_name:str}"
    tags = ("training",)

    @get("/training-comparison", operation_id="compare_training_runs", responses=QUERY_PROBLEM_RESPONSES)
    async def compare(self, runtime: Runtime, model_name: ModelNameInPath, runs: RunsInQuery) -> RunComparison:
        """Runs beside each other: parameters, datasets, metrics, and the figures of their epochs."""
        return _comparison(runtime, model_name, runs)

    @get(
        "/training-comparison.svg",
        operation_id="draw_training_comparison",
        responses=QUERY_PROBLEM_RESPONSES,
        media_type=SVG,
    )
    async def draw(self, runtime: Runtime, model_name: ModelNameInPath, runs: RunsInQuery) -> Response[str]:
        """The figures of the epochs of all these runs as a picture."""
        return _picture(comparison_svg(_comparison(runtime, model_name, runs)))

    @get(
        "/training-runs/{run_id:str}/curves.svg",
        operation_id="draw_training_run",
        responses=QUERY_PROBLEM_RESPONSES,
        media_type=SVG,
    )
    async def draw_run(self, runtime: Runtime, model_name: ModelNameInPath, run_id: RunInPath) -> Response[str]:
        """The figures of a run's epochs as a picture; they are known when it has ended."""
        run = found(find_run(runtime.registry.fold.streams, model_name, run_id))
        return _picture(run_svg(run, _heard(runtime, run)))


def _comparison(runtime: Runtime, model_name: str, named: str) -> RunComparison:
    run_ids = [each.strip() for each in named.split(",")]
    if (wrong := wrong_comparison(run_ids)) is not None:
        found(wrong)
    runs = [found(find_run(runtime.registry.fold.streams, model_name, each)) for each in run_ids]
    return compared(model_name, runs, {run.run_id: _heard(runtime, run) for run in runs})


def _heard(runtime: Runtime, run: TrainingRun) -> TrainingProgressed | None:
    heard = runtime.services.training_progress
    return None if heard is None else heard.fold.of(run.run_id, run.model_name, run.runner)


def _picture(svg: str) -> Response[str]:
    # What the words in it say came from a topic; they are escaped, and nothing in it may run.
    headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
    return Response(svg, media_type=SVG, headers=headers)
