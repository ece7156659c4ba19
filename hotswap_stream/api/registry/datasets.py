"""Datasets of a model, and how long its requests are kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO

from litestar import Controller, Request, Response, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream
from msgspec import Meta

from hotswap_events.commands import Refusal, SetRequestRetention
from hotswap_events.dataset import DatasetCounts, DatasetName, RecordDataset, RequestRetention
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context, nothing_unread
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import Problem, ProblemError, found, refused
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.datasets.children import OrderedBuild
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder
from hotswap_stream.application.datasets.view import (
    DatasetList,
    DatasetView,
    RetentionReport,
    find_dataset,
    find_retention,
    list_datasets,
)
from hotswap_stream.application.training.validation_sets import stored_set

CHUNK_BYTES = 256 * 1024

NO_BUILDING = ResponseSpec(Problem, generate_examples=False, description="This server builds no datasets")
DatasetInPath = Annotated[str, PathParameter(description="Digest of the dataset, or a name of it.")]


class DatasetBody(CommandBody, frozen=True):
    """A dataset that is to be built."""

    order: DatasetOrder = DatasetOrder()
    """Which requests, and what of what turned out about them; what is left out is taken as far as it is there."""


class StoredDatasetBody(CommandBody, frozen=True):
    """A file of labelled rows that lies in the artifact store already, as an upload leaves it."""

    artifact_digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    dataset_name: DatasetName | None = None
    """Stands for this dataset from here on."""
    source: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    """Where it comes from, in free text, such as the name of the file."""


class RequestRetentionBody(CommandBody, frozen=True):
    """How long requests and answers are kept."""

    retention: RequestRetention


class DatasetController(Controller):
    """Rows for training, built of the requests of a model."""

    path = "/api/models/{model_name:str}/datasets"
    tags = ("training",)

    @get("/", operation_id="list_datasets", responses=QUERY_PROBLEM_RESPONSES)
    async def list_all(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[DatasetList]:
        """All datasets of the model, newest first, each with its query and what was left out."""
        datasets = found(list_datasets(streams, model_name))
        return Response(datasets, headers={"ETag": f'"{streams[model_name].state.sequence}"'})

    @post(
        "/",
        status_code=201,
        operation_id="build_dataset",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES | {501: NO_BUILDING},
    )
    async def build(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[DatasetBody],
    ) -> DatasetView:
        """Build a dataset and wait for it. The same query gives the same digest while the topics keep the records."""
        await nothing_unread(request, data)
        build = runtime.services.build_dataset
        if build is None:
            raise ProblemError(501, "not-carried", "this server builds no datasets; use `hotswap-stream dataset build`")
        context = command_context(command_headers, data, runtime.services.ids)
        command = {name: value for name, value in context.fields().items() if value is not None}
        built = await build(OrderedBuild(model_name=model_name, order=data.order, command=command))
        if built.result.refusal is not None:
            raise refused(built.result.refusal, command_id=context.command_id)
        if built.dataset is None:
            raise DatasetError(built.result.detail or "the dataset was built, and could not be recorded")
        if built.result.offset is not None:
            await runtime.registry.wait_for_offset(built.result.offset + 1)
        return built.dataset

    @post(
        "/stored",
        status_code=200,
        operation_id="add_dataset",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def add(
        self, runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[StoredDatasetBody]
    ) -> Response[CommandAnswer]:
        """Record a stored file of labelled rows as a dataset. With a new model's name it begins the model."""
        context = command_context(command_headers, data, runtime.services.ids)
        stored = await stored_set(runtime.services.artifacts, data.artifact_digest)
        if isinstance(stored, Refusal):
            raise refused(stored, command_id=context.command_id)
        command = RecordDataset(
            model_name=model_name,
            artifact_digest=stored.artifact_digest,
            size_bytes=stored.size_bytes,
            counts=DatasetCounts(rows=stored.rows),
            dataset_name=data.dataset_name,
            source=data.source or "an upload",
            **context.fields(),
        )
        return await handled(runtime, context, command)

    @get("/{dataset:str}", operation_id="get_dataset", responses=QUERY_PROBLEM_RESPONSES)
    async def get_one(self, streams: PastOrPresent, model_name: ModelNameInPath, dataset: DatasetInPath) -> DatasetView:
        """A dataset: what it was made of, and what was left out."""
        return found(find_dataset(streams, model_name, dataset))

    @get(
        "/{dataset:str}/content",
        operation_id="get_dataset_content",
        responses=QUERY_PROBLEM_RESPONSES,
        media_type="application/octet-stream",
    )
    async def content(
        self, runtime: Runtime, streams: PastOrPresent, model_name: ModelNameInPath, dataset: DatasetInPath
    ) -> Stream:
        """The artifact itself: a safetensors file with the inputs' arrays, and `labels` or `target`."""
        known = found(find_dataset(streams, model_name, dataset))
        path = await runtime.services.artifacts.local_path(known.artifact_digest)
        content: AsyncIterator[bytes]
        if path is not None:
            content = _of_file(await asyncio.to_thread(path.open, "rb"))
        else:
            content = _of_bytes((await runtime.services.artifacts.fetch(known.artifact_digest)).content)
        headers = {"Content-Length": str(known.size_bytes)}
        return Stream(content, headers=headers, media_type="application/octet-stream")


class RetentionController(Controller):
    """How long the requests and answers of a model are kept."""

    path = "/api/models/{model_name:str}/retention"

    @get("/", operation_id="get_retention", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def get_retention(self, streams: PastOrPresent, model_name: ModelNameInPath) -> RetentionReport:
        """How long requests and answers are kept, and so how far back datasets and reproduced answers reach."""
        return found(find_retention(streams, model_name))

    @put(
        "/",
        operation_id="set_retention",
        tags=["commands"],
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_retention(self, dispatch: Dispatch, data: JSONBody[RequestRetentionBody]) -> Response[CommandAnswer]:
        """Keep requests and answers so long from here on; the agents tell the topics, and the broker deletes."""
        return await dispatch(SetRequestRetention, data)


async def _of_file(opened: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(opened.close)


async def _of_bytes(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
