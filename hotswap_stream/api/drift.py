"""Profiles of training data, and how far live data have moved away from them."""

from datetime import UTC, timedelta
from typing import Annotated

from litestar import Controller, Response, get, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from hotswap_events.commands import ProfileVersion
from hotswap_events.registry.profile import ModelProfiled
from hotswap_stream.api.commands.answers import CONFLICT, PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath, time_of
from hotswap_stream.api.protocol.problems import ProblemError, found
from hotswap_stream.api.recorded_reports import of_model, reading_records
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.drift.report import DriftReport, drift_report
from hotswap_stream.application.registry.queries import find_version

LOOKED_BACK = timedelta(hours=1)


class ProfileBody(CommandBody, frozen=True):
    """What the data of a version looked like, as sketches."""

    source: Annotated[str, Meta(min_length=1, max_length=500)]
    """Which data: a name, a digest."""
    rows: Annotated[int, Meta(ge=1)]
    sketches: dict[str, str]
    """Name → KLL sketch of floats (Apache DataSketches, base64), named as in the observations: `input`, `input.3`,
    `score`."""


class ProfileController(Controller):
    """What a version was made from."""

    path = "/api/models/{model_name:str}/versions/{model_version:str}/profile"

    @get("/", operation_id="get_profile", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def get_profile(
        self, streams: PastOrPresent, model_name: ModelNameInPath, model_version: VersionInPath
    ) -> ModelProfiled:
        """The sketches of the data a version was made from."""
        found(find_version(streams, model_name, model_version))
        profile = streams[model_name].state.versions[model_version].profile
        if profile is None:
            raise ProblemError(404, "no-profile", f"{model_version!r} of {model_name!r} has no profile")
        return profile

    @put(
        "/",
        operation_id="set_profile",
        tags=["commands"],
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_profile(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[ProfileBody]
    ) -> Response[CommandAnswer]:
        """Record the profile of a version that was trained elsewhere; it replaces the one before."""
        return await dispatch(ProfileVersion, data, model_version=model_version)


@get(
    "/api/models/{model_name:str}/drift",
    operation_id="get_drift",
    tags=["models"],
    responses=QUERY_PROBLEM_RESPONSES | CONFLICT,
)
async def get_drift(
    runtime: Runtime,
    model_name: ModelNameInPath,
    model_version: Annotated[str | None, QueryParameter(description="Default: the active one.")] = None,
    since: Annotated[
        str | None,
        QueryParameter(
            description="RFC 3339 with time zone. Default: an hour before `until`, or now.",
            schema_extra={"format": "date-time"},
        ),
    ] = None,
    until: Annotated[
        str | None, QueryParameter(description="Default: the present.", schema_extra={"format": "date-time"})
    ] = None,
    tolerance: Annotated[float, QueryParameter(ge=0.0, lt=1.0, description="A distance that nobody minds.")] = 0.0,
) -> DriftReport:
    """A version's live inputs and scores against those of the data it was made from.

    It is made of what was recorded in that time, so it takes a second for each 3,000 observations or so.
    """
    last = None if until is None else time_of("until", until)
    end = last or runtime.services.clock.now()
    try:
        begin = end.astimezone(UTC) - LOOKED_BACK if since is None else time_of("since", since)
    except OverflowError:
        raise ProblemError(422, "invalid-value", "until is too close to the end of all dates") from None
    if begin >= end:
        raise ProblemError(422, "invalid-value", f"since is {begin.isoformat()}, not before {end.isoformat()}")
    with reading_records(runtime) as recorded:
        streams = of_model(runtime, model_name)
        report = await runtime.side.run(
            lambda: drift_report(
                streams,
                model_name,
                recorded,
                since=begin,
                until=last,
                model_version=model_version,
                tolerance=tolerance,
            )
        )
    return found(report)
