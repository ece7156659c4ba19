"""The process of one evaluation on a labelled set: `python -m hotswap_stream.adapters.evaluation.process`.

Reads one `SetEvaluationOrder` line from standard input, writes one `EvaluationLine` to standard output, and ends with
the input: whoever started it holds the other end of the pipe. What a hostile graph or set does here, it does to this
process alone.
"""

import asyncio
import resource
import sys
import traceback
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.application.training.evaluation import EvaluationAborted, MeasuredOnSet, SetEvaluationOrder
from hotswap_stream.domain.versions.options import executor_of
from hotswap_stream.errors import HotswapError

MEMORY_BYTES_MAX = 8 * 1024**3
"""Address space, beside eight times the files' size, where graphs alone are computed."""
BATCH_ROWS_MAX = 64
RUNTIME_SECONDS_MAX = 600.0
"""To load a runtime, and of one pass through it: whoever ordered the evaluation ends it before that."""


def set_evaluator_command(modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the argument list that starts this process with the interpreter that runs now.

    `modules` are those with plug-ins that the operator named.
    """
    return (sys.executable, "-m", "hotswap_stream.adapters.evaluation.process", *modules)


def main() -> int:
    """Return 0 after a `measured-on-set` line, 1 after an `aborted` one. Any other exit code means a crash."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=SetEvaluationOrder)
    end_with_owner()
    name_modules(sys.argv[1:])
    try:
        write_line(lines, measured(order))
    except ModuleNotFoundError as error:
        detail = f"measuring needs {error.name}, which is not installed here: pip install 'hotswap-stream[train]'"
        write_line(lines, EvaluationAborted(detail=detail))
        return EXIT_ABORTED
    except (HotswapError, OSError, MemoryError) as error:
        traceback.print_exc()
        detail = str(error) or "there was not enough memory"
        write_line(lines, EvaluationAborted(detail=detail, not_measurable=isinstance(error, HotswapError)))
        return EXIT_ABORTED
    return 0


def measured(order: SetEvaluationOrder) -> MeasuredOnSet:
    """Return the figures of one artifact, and of another on the same set.

    Raises:
        ValidationSetError: The set is none, or does not fit.
        OSError: A file cannot be read; also the errors of loading.
    """
    from hotswap_stream.adapters.evaluation.measuring import measure
    from hotswap_stream.adapters.evaluation.set_artifacts import pack_set, unpack_set
    from hotswap_stream.adapters.evaluation.set_files import read_set_file
    from hotswap_stream.application.artifacts.file import digest_of_artifact, read_manifest

    contents = [Path(file).read_bytes() for file in (order.compared_file, order.candidate_file) if file is not None]
    if all(read_manifest(content).kind == "onnx" for content in contents):
        _limit_memory(order)
    if order.set_file is not None:
        packed = Path(order.set_file).read_bytes()
        labelled = unpack_set(packed)
    else:
        labelled = read_set_file(Path(order.data_file or ""), bytes_max=order.bytes_max, kind=order.data_kind)
        packed = pack_set(labelled)
    digest = digest_of_artifact(packed)
    del packed
    beside = evaluation = None
    if order.compared_file is not None:
        with closing(_loaded(contents[0], order.threads, order.compared_options)) as model:
            evaluation, beside = measure(model, labelled, digest)
    with closing(_loaded(contents[-1], order.threads, order.candidate_options)) as model:
        candidate, _ = measure(model, labelled, digest, beside)
    return MeasuredOnSet(candidate=candidate, compared=evaluation)


def _loaded(content: bytes, threads: int, options: VersionOptions) -> LoadedModel:
    """Load for the executor that the options name, or for one that is not chosen by measuring: both are timed alike."""
    from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
    from hotswap_stream.adapters.models.by_kind import ContentLoader, LoaderByKind

    store = open_artifact_store(ArtifactStoreConfig(url="memory://", artifact_bytes_max=len(content)))

    def architectures() -> ContentLoader:
        from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
        from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader

        config = ExecutorConfig(
            executor="eager",
            batch_rows_max=BATCH_ROWS_MAX,
            torch_threads=threads,
            graph_folder=None if graph_folder is None else Path(graph_folder),
        )
        return TorchModelLoader(store, config=config)

    def graphs() -> ContentLoader:
        from hotswap_stream.adapters.onnx.loader import OnnxModelLoader

        return OnnxModelLoader(threads=threads, batch_rows_max=BATCH_ROWS_MAX)

    def runtimes() -> ContentLoader:
        from hotswap_stream.adapters.plugins.runtime_loader import RuntimeLoader

        return RuntimeLoader(load_seconds_max=RUNTIME_SECONDS_MAX, pass_seconds_max=RUNTIME_SECONDS_MAX)

    async def load() -> LoadedModel:
        loader = LoaderByKind(store, {"architecture": architectures, "onnx": graphs, "runtime": runtimes})
        return await loader.load((await store.put_artifact(content)).digest, options)

    # An executor that needs a graph of an architecture has it made for this evaluation alone.
    with TemporaryDirectory() if executor_of(options) else nullcontext() as graph_folder:
        return asyncio.run(load())


def _limit_memory(order: SetEvaluationOrder) -> None:
    files = (order.candidate_file, order.compared_file, order.set_file, order.data_file)
    size_bytes = sum(Path(file).stat().st_size for file in files if file is not None)
    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES_MAX + 8 * size_bytes), (resource.RLIMIT_CORE, 0)):
        _soft, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    leave(main())
