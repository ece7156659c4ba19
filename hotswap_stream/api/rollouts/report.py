"""How the arms of a rollout do."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.recorded_reports import of_model, reading_records
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.rollouts.report.history import experiment_report
from hotswap_stream.application.rollouts.report.report import ExperimentReport


@get(
    "/api/models/{model_name:str}/rollout/report",
    operation_id="get_rollout_report",
    tags=["rollouts"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_rollout_report(
    runtime: Runtime,
    model_name: ModelNameInPath,
    rollout_id: Annotated[
        str | None, QueryParameter(description="Default: the one that goes on, or the last one.")
    ] = None,
) -> ExperimentReport:
    """Per arm counts, success, latency, accuracy or reward; lift with its interval, and advice.

    It is made of all that was recorded since the rollout began, so it takes a second for each 10,000 records or so.
    """
    with reading_records(runtime) as recorded:
        streams, answers = of_model(runtime, model_name), runtime.services.answers
        report = await runtime.side.run(
            lambda: experiment_report(streams, model_name, recorded, rollout_id=rollout_id, answers=answers)
        )
    return found(report)
