"""Data that versions are made from: the bundled digits, files of them, and what they looked like."""

import asyncio
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from hotswap_events.commands import CommandResult, RecordDataset
from hotswap_events.dataset import DatasetCounts, DatasetQuery
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.datasets.children import DatasetChildren
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder, query_of
from hotswap_stream.application.datasets.view import BuiltDataset, dataset_view
from hotswap_stream.application.registry.queries import unknown_model
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.bootstrap.training.processes import packed_set
from hotswap_stream.settings import Settings, child_environment

if TYPE_CHECKING:
    from hotswap_stream.application.training.runs import DataProfile
    from hotswap_stream.workers.datasets.building import Built

_Result = TypeVar("_Result")

DigitsKind = Literal["good", "inverted", "shifted", "mislabeled", "noise", "constant"]


def write_digits(
    file: Path,
    kind: DigitsKind,
    *,
    count: int | None = None,
    pixel_noise: float = 0.0,
    seed: int = 0,
    shift_by: int = 1,
    constant_label: int = 0,
) -> int:
    """Write training data drawn from the bundled digits, right or spoilt in a way that `kind` names.

    Args:
        file: A .safetensors file; it is replaced as a whole.
        kind: What is wrong with the data; "good" is right.
        count: Images to draw; None takes the whole training part.
        pixel_noise: Standard deviation of normal noise added to each pixel, 0 to 1.
        seed: The same arguments give the same data.
        shift_by: For "shifted": added to each label, modulo 10.
        constant_label: For "constant": the label of every image.

    Returns:
        The number of images written.

    Raises:
        DataRequestError: Data of this kind, or in this number, cannot be made.
        ConfigurationError: The package that brings the digits is not installed.
    """
    from hotswap_stream.adapters.torch.data.bad_data import make_data
    from hotswap_stream.adapters.torch.data.digits import load_digits_split
    from hotswap_stream.adapters.torch.data.files import save_data_file

    data = make_data(
        load_digits_split().train,
        kind,
        count=count,
        pixel_noise=pixel_noise,
        seed=seed,
        shift_by=shift_by,
        constant_label=constant_label,
    )
    save_data_file(file, data)
    return len(data)


def held_out_digits() -> list[tuple[list[float], int]]:
    """Return the digits that no version was trained or validated on.

    Returns:
        Pixels of a 28 by 28 image, row by row, from 0 (paper) to 1 (ink), and the label, for each digit.

    Raises:
        ConfigurationError: The package that brings the digits is not installed.
    """
    from hotswap_stream.adapters.torch.data.digits import load_digits_split

    held_out = load_digits_split().held_out
    return list(zip(held_out.images.flatten(1).tolist(), held_out.labels.tolist(), strict=True))


async def data_profile(settings: Settings, digest: str, data: Path, source: str) -> "DataProfile":
    """Say what data looked like, and the scores that a version gives to them.

    Args:
        settings: Say where the artifact is, and how many threads may compute.
        digest: Artifact of the version, which computes all rows once.
        data: File with the inputs of the version.
        source: What to call the data.

    Raises:
        DataFileError: The file does not hold what the version takes.
    """
    from hotswap_stream.adapters.torch.modules.loading import load_module
    from hotswap_stream.adapters.torch.modules.threads import limit_threads
    from hotswap_stream.adapters.torch.training.profiling import profile_of, read_inputs

    limit_threads(settings.torch_threads)
    artifact = await artifact_store(settings).fetch(digest)

    def made() -> "DataProfile":
        module = load_module(artifact.manifest, artifact.content)
        inputs = read_inputs(data, artifact.manifest)
        return profile_of(module, artifact.manifest, inputs, source=source, where=str(data))

    return await asyncio.to_thread(made)


async def build_dataset(
    settings: Settings,
    registry: Registry,
    model_name: str,
    order: DatasetOrder,
    *,
    on_progress: Callable[[int, int], None] = lambda _requests, _rows: None,
    **command: Any,
) -> BuiltDataset:
    """Build a dataset of a model's requests, keep it, and record it.

    Args:
        settings: Say where the topics and the artifacts are, and how long it may take.
        registry: Started.
        model_name: Of which model.
        order: What is asked for.
        on_progress: Called now and then, from another thread, with the requests read and the rows made.
        command: Actor, command id and the other fields common to all commands.

    Raises:
        DatasetError: It cannot be built; the message says what would be right. Nothing is left behind.
        HotswapError: The log or the store does not answer.
    """
    from hotswap_stream.workers.datasets.building import BuildLimits, DatasetBuilder
    from hotswap_stream.workers.datasets.reading import DatasetReader, DatasetTopics
    from hotswap_stream.workers.training.work_folder import make_work_folder

    await registry.catch_up()
    state = registry.state(model_name)
    if not state.exists:
        refusal = unknown_model(registry.fold.streams, model_name)
        refused = CommandResult(
            command_id=command["command_id"], status="refused", model_name=model_name, refusal=refusal
        )
        return BuiltDataset(result=refused)
    names, kafka, store = topics(settings), connection(settings), artifact_store(settings)
    stop = threading.Event()
    folder = make_work_folder(settings.home / "datasets", "build-", seconds_max=settings.dataset_seconds_max)

    def read_order() -> DatasetQuery:
        with _reader() as reader:
            return query_of(order, state, reader.places(order))

    def _reader() -> DatasetReader:
        places = DatasetTopics(names.requests(model_name), names.feedback, names.datasets_group)
        return DatasetReader(kafka.librdkafka_options(), kafka.client_options(), places)

    def made(query: DatasetQuery, is_excluded: "Callable[[Any], bool]") -> "Built":
        builder = DatasetBuilder(
            model_name,
            query,
            folder=folder,
            limits=BuildLimits(bytes_max=settings.artifact_bytes_max, seconds_max=settings.dataset_seconds_max),
            is_excluded=is_excluded,
            stopped=stop.is_set,
            on_progress=on_progress,
        )
        with _reader() as reader:
            return builder.build(lambda: reader.requests(query.ranges), reader.feedback(query.feedback))

    try:
        query = await _to_its_end(asyncio.to_thread(read_order), stop)
        is_excluded = await _exclusion(store, query)
        built = await _to_its_end(asyncio.to_thread(made, query, is_excluded), stop)
        facts = await store.put_file(built.file.path)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    result = await registry.handle(
        RecordDataset(
            model_name=model_name,
            artifact_digest=facts.digest,
            size_bytes=facts.size_bytes,
            query=query,
            counts=built.counts,
            dataset_name=order.dataset_name,
            **command,
        )
    )
    recorded = registry.state(model_name)
    known = recorded.datasets.get(facts.digest)
    return BuiltDataset(result=result, dataset=None if known is None else dataset_view(recorded, known))


async def add_dataset(
    settings: Settings, registry: Registry, file: Path, dataset_name: str | None, **command: Any
) -> BuiltDataset:
    """Keep a file of labelled rows as an artifact, and record it as a dataset.

    Args:
        settings: Say where the artifacts are, and limit the file's size.
        registry: Started.
        file: `.npz`, `.safetensors` or Parquet, as `packed_set` takes it.
        dataset_name: Stands for this dataset from here on; None: no name does.
        command: Model, actor, command id and the other fields common to all commands.

    Raises:
        ValidationSetError: It is no labelled set; the message says what is wrong.
        HotswapError: The log or the store does not answer.
    """
    from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set

    content = await asyncio.to_thread(packed_set, settings, file)
    rows = len(await asyncio.to_thread(unpack_set, content))
    facts = await artifact_store(settings).put_artifact(content)
    result = await registry.handle(
        RecordDataset(
            artifact_digest=facts.digest,
            size_bytes=facts.size_bytes,
            counts=DatasetCounts(rows=rows),
            dataset_name=dataset_name,
            source=file.name[:512],
            **command,
        )
    )
    state = registry.state(command["model_name"])
    known = state.datasets.get(facts.digest)
    return BuiltDataset(result=result, dataset=None if known is None else dataset_view(state, known))


async def export_dataset(settings: Settings, digest: str, target: Path) -> int:
    """Write a dataset into a file: the artifact as it is, or as `.npz` or `.parquet`.

    Returns:
        The file's size in bytes.

    Raises:
        DatasetError: The file's name says nothing of this.
        HotswapError: The store does not have it, or does not answer.
    """
    from hotswap_stream.adapters.datasets.exports import EXPORTS
    from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set

    write = EXPORTS.get(target.suffix)
    if write is None:
        raise DatasetError(f"{target.name!r} ends with none of {', '.join(EXPORTS)}, so what to write is not clear")
    content = (await artifact_store(settings).fetch(digest)).content
    try:
        await asyncio.to_thread(lambda: write(target, content, unpack_set(content)))
    except OSError as error:
        raise DatasetError(f"{target} cannot be written: {error.strerror}") from error
    return await asyncio.to_thread(lambda: target.stat().st_size)


@asynccontextmanager
async def dataset_children(settings: Settings) -> AsyncIterator[DatasetChildren]:
    """Open what builds datasets on request, in processes of their own."""
    found = msgspec.structs.replace(settings, kafka_bootstrap_servers=connection(settings).bootstrap_servers)
    command = (sys.executable, "-m", "hotswap_stream.cli", "run-dataset-build")
    children = DatasetChildren(command, child_environment(found))
    try:
        yield children
    finally:
        await children.stop()


async def _exclusion(store: "ArtifactStore", query: DatasetQuery) -> "Callable[[Any], bool]":
    """Return what says of a row's inputs whether the validation set has them."""
    from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set
    from hotswap_stream.workers.datasets.rows import RowMaker, fingerprint, fingerprints_of

    if query.excluded_set is None:
        return lambda _row: False
    content = (await store.fetch(query.excluded_set)).content
    specs = RowMaker(query, lambda _row: False).specs
    known = await asyncio.to_thread(lambda: fingerprints_of(unpack_set(content).inputs, specs))
    return lambda row: fingerprint(row) in known


async def _to_its_end(work: "Coroutine[Any, Any, _Result]", stop: threading.Event) -> "_Result":
    """Wait for work in a thread; who is cancelled meanwhile stops it and waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        with suppress(Exception):
            await task
        raise
