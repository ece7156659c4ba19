"""Uploads of models by HTTP: one file in one request, or many in pieces; each is tried and put into the store."""

import json
from typing import Annotated, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.artifacts.body import announced_bytes, pieces_of, while_there
from hotswap_stream.api.artifacts.options import (
    DIGEST,
    BatchingInQuery,
    DigestInQuery,
    FromUploadsBody,
    LabelsInQuery,
    NonFiniteInQuery,
    WarmUpInQuery,
    options_of,
)
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES
from hotswap_stream.api.protocol.authorization import guard_bytes, guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE, BytesBodyOperation
from hotswap_stream.api.protocol.parameters import UploadInPath
from hotswap_stream.api.protocol.problems import MEDIA_TYPE, Problem, ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.artifacts.uploads.imported import ImportedArtifact
from hotswap_stream.application.artifacts.uploads.port import UploadState
from hotswap_stream.application.artifacts.uploads.receiving import Uploads

TAG = "artifacts"


class BeginUploadBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that comes in pieces."""

    size_bytes: Annotated[int, Meta(ge=1, le=INT64_MAX)]
    digest: Annotated[str, Meta(pattern=DIGEST)]
    """Digest of the whole file, `sha256:<hex>`; checked when a model is made of it."""


def _problems(*statuses: int, **described: str) -> dict[int, ResponseSpec]:
    """Return the problems of an operation: those that are as everywhere, and `on_<status>` with words of their own."""
    texts = {status: str(PROBLEM_RESPONSES[status].description) for status in statuses}
    texts |= {int(name.removeprefix("on_")): text for name, text in described.items()}
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=text, media_type=MEDIA_TYPE)
        for status, text in texts.items()
    }


_KEPT = "It was tried, and is in the store"
_SO_FAR = "How far the upload came"
_TOO_MANY = "Too many uploads or trials are under way, or the disk is full; Retry-After says when to try again"
_IMPORT_PROBLEMS = _problems(
    401,
    403,
    on_400="The body cannot be read, or the connection ended before it did",
    on_413="There are more bytes than are taken",
    on_422="`not-an-artifact`, `not-servable`, `digest-mismatch`, or a value is not valid",
    on_503=_TOO_MANY,
)
ANY_MODEL = needs("operate", any_model=True)
"""A file is of no model before it is registered."""
_SLOW = _problems(on_408="The body came too slowly")
_NO_SUCH = _problems(on_404="No such upload")


@post(
    "/api/artifacts",
    status_code=201,
    operation_id="upload_artifact",
    opt=ANY_MODEL,
    operation_class=BytesBodyOperation,
    response_description=_KEPT,
    tags=[TAG],
    guards=[guard_bytes],
    security=KEY_OR_NONE,
    request_max_body_size=None,  # the file is never in memory; its size has a limit of its own
    responses=_IMPORT_PROBLEMS | _SLOW | _problems(on_415="The body is not application/octet-stream"),
)
async def upload_artifact(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    digest: DigestInQuery = None,
    label: LabelsInQuery = None,
    warm_up: WarmUpInQuery = None,
    batching: BatchingInQuery = None,
    allow_non_finite: NonFiniteInQuery = False,
) -> ImportedArtifact:
    """Upload an ONNX graph, or an artifact that was made before: it is tried, and kept to be registered by its digest.

    The same file again gives the same digest. Larger files are better sent in pieces.
    """
    uploads = _uploads(runtime)
    options = options_of(label, warm_up, batching, allow_non_finite)
    pieces = pieces_of(request.receive)
    async with uploads.received(pieces, announced_bytes(request), digest) as file:
        return await while_there(request.receive, uploads.import_file(file, options))


@post(
    "/api/artifacts/from-uploads",
    status_code=201,
    operation_id="artifact_from_uploads",
    opt=ANY_MODEL,
    response_description=_KEPT,
    tags=[TAG],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=_IMPORT_PROBLEMS
    | _NO_SUCH
    | _problems(415, on_409="An upload is not complete: `received_bytes` says how far it is; or it is in use"),
)
async def artifact_from_uploads(
    request: Request[Any, Any, Any], runtime: Runtime, data: JSONBody[FromUploadsBody]
) -> ImportedArtifact:
    """Make an artifact of what was uploaded in pieces, try it, and keep it. The uploads are gone then.

    They also are where the model is refused; not where the same request may succeed later.
    """
    uploads = _uploads(runtime)
    _nothing_twice(await request.body(), data)
    return await while_there(request.receive, uploads.import_uploads(data.file, data.beside, data.options))


class UploadController(Controller):
    """Uploads in pieces."""

    path = "/api/uploads"
    tags = (TAG,)
    opt = ANY_MODEL

    @post(
        "/",
        status_code=201,
        operation_id="begin_upload",
        response_description="There is a place for the file",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=_problems(400, 401, 403, 415, 422, on_413="There are more bytes than are taken", on_503=_TOO_MANY),
    )
    async def begin(self, runtime: Runtime, data: JSONBody[BeginUploadBody]) -> UploadState:
        """Begin to upload a file in pieces."""
        return await _uploads(runtime).begin(data.size_bytes, data.digest)

    @get(
        "/{upload_id:str}",
        operation_id="get_upload",
        response_description=_SO_FAR,
        responses=_problems(400, 403, 503) | _NO_SUCH,
    )
    async def get_upload(self, runtime: Runtime, upload_id: UploadInPath) -> UploadState:
        """How far an upload came: where to go on after a broken connection."""
        return await _uploads(runtime).state(upload_id)

    @patch(
        "/{upload_id:str}",
        status_code=200,
        operation_id="upload_piece",
        response_description=_SO_FAR,
        operation_class=BytesBodyOperation,
        guards=[guard_bytes],
        security=KEY_OR_NONE,
        request_max_body_size=None,  # see above
        responses=_problems(
            401,
            403,
            422,
            503,
            on_400="The connection ended before the body; what came stays",
            on_409="The piece does not begin where the upload ends, at `received_bytes`; or the upload is in use",
            on_413="The piece is too large, or goes beyond the end of the file",
            on_415="The body is not application/octet-stream",
        )
        | _SLOW
        | _NO_SUCH,
    )
    async def piece(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        upload_id: UploadInPath,
        offset: Annotated[
            int, QueryParameter(ge=0, le=INT64_MAX, description="Where the piece begins: `received_bytes`.")
        ],
    ) -> UploadState:
        """Send one more piece of a file. What came before a connection broke stays."""
        return await _uploads(runtime).append(upload_id, offset, pieces_of(request.receive), announced_bytes(request))

    @delete(
        "/{upload_id:str}",
        status_code=204,
        operation_id="delete_upload",
        response_description="It is gone",
        security=KEY_OR_NONE,
        responses=_problems(400, 401, 403, 503, on_409="The upload is in use") | _NO_SUCH,
    )
    async def delete_upload(self, runtime: Runtime, upload_id: UploadInPath) -> None:
        """Give an upload up."""
        await _uploads(runtime).delete(upload_id)


def _uploads(runtime: Runtime) -> Uploads:
    uploads = runtime.services.uploads
    if uploads is None:
        raise ProblemError(503, "not-ready", "this server takes no uploads")
    return uploads


def _nothing_twice(body: bytes, data: FromUploadsBody) -> None:
    """Raise ProblemError (422) where a name or an upload stands twice: one of the two would be passed over."""
    ids = [data.file, *data.beside.values()]
    if len(set(ids)) < len(ids):
        raise ProblemError(422, "invalid-value", "an upload is named twice; each file has one of its own")
    json.loads(body, object_pairs_hook=_named_once)


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ProblemError(422, "invalid-value", f"{name[:100]!r} stands twice in the body")
    return found
