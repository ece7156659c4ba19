"""How far the windows of a model's series are filled."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import QueryParameter

from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.inference.asking import manifest_of
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.queries.paging import link_to, next_page
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.queries import find_model
from hotswap_stream.application.windows.view import WINDOWS_IN_PAGE_MAX, ModelWindows, model_windows
from hotswap_stream.errors import LogUnavailableError


@get(
    "/api/models/{model_name:str}/windows",
    operation_id="list_windows",
    tags=["models"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def list_windows(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    model_name: ModelNameInPath,
    after_key: Annotated[str | None, QueryParameter(description="Only keys behind this one.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=WINDOWS_IN_PAGE_MAX)] = 100,
) -> Response[ModelWindows]:
    """The series of a model that takes windows, by key: how many steps of each are kept, and whether that is enough."""
    stream = runtime.registry.stream(model_name)
    reader = runtime.services.windows
    if stream is None:
        found(find_model(runtime.registry.fold.streams, model_name))
    if stream is None or reader is None:
        raise ProblemError(503, "windows-unknown", "this server was started without a way to the windows")
    try:
        folds = await runtime.side.run(lambda: reader.read(model_name))
    except LogUnavailableError as error:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise ProblemError(503, "windows-unknown", str(error), headers=headers) from error
    active = stream.state.active
    # An artifact is only looked into where there are windows.
    manifest = None if active is None or not folds else await manifest_of(runtime, active)
    page = model_windows(model_name, folds, manifest, reader.homes, after=after_key, limit=limit)
    following = next_page(request, after_key=page.windows[-1].key) if len(page.windows) >= limit else None
    return Response(page, headers=link_to(following))
