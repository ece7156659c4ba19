"""The process of one trial: `python -m hotswap_stream.adapters.onnx.trial_process`.

Reads one `TrialOrder` line from standard input, writes one `TrialLine` to standard output, and ends with the input:
whoever started it holds the other end of the pipe. What a hostile file does here, it does to this process alone.
"""

import resource
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import psutil
from msgspec.structs import replace

from hotswap_stream.adapters.models.executor import Executor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.trial import (
    WARNINGS_MAX,
    TrialFacts,
    TrialOrder,
    TrialPassed,
    TrialRefused,
)
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from hotswap_stream.adapters.onnx.graph import GraphSignature
    from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel

WARM_RUNS = 7
ROWS_TRIED = 16


def trial_command() -> tuple[str, ...]:
    """Return the argument list that starts this process with the interpreter that runs now."""
    return (sys.executable, "-m", "hotswap_stream.adapters.onnx.trial_process")


def main() -> int:
    """Return 0 after a `passed` line, 1 after a `refused` one. Any other exit code means a crash, or a limit."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=TrialOrder)
    end_with_owner()
    _limit(order)
    try:
        line = tried(order)
    except (HotswapError, OSError, MemoryError, ValueError) as error:
        write_line(lines, TrialRefused(reason=str(error) or type(error).__name__))
        return EXIT_ABORTED
    write_line(lines, line)
    return 0


def tried(order: TrialOrder) -> TrialPassed:
    """Open and run what the order names.

    Raises:
        HotswapError: It cannot be served; the message says why.
    """
    from hotswap_stream.adapters.onnx.deriving import derive_manifest
    from hotswap_stream.adapters.onnx.graph import read_signature
    from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel, load_in_openvino, open_graph
    from hotswap_stream.adapters.onnx.names import GRAPH_FILE
    from hotswap_stream.adapters.onnx.session import open_session
    from hotswap_stream.application.artifacts.bundle import files_of
    from hotswap_stream.application.artifacts.file import read_manifest

    if order.artifact is not None and order.exported is not None:
        return _tried_exported(Path(order.artifact), Path(order.exported), order.threads)
    given = None
    if order.artifact is not None:
        content = Path(order.artifact).read_bytes()
        given, files = read_manifest(content), files_of(content)
    else:
        files = {name: memoryview(Path(path).read_bytes()) for name, path in order.files.items()}
    graph = bytes(files.get(GRAPH_FILE, b""))
    signature = read_signature(graph, [name for name in files if name != GRAPH_FILE])
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    session = open_session(files, threads=order.threads)
    load_ms = (time.perf_counter() - began) * 1000
    warnings: tuple[str, ...] = ()
    manifest = given
    if manifest is None:
        derived = derive_manifest(session, signature, order.options)
        manifest, warnings = derived.manifest, derived.warnings
    del session
    graph_in = partial(open_graph, files=files, threads=order.threads, batch_rows_max=ROWS_TRIED)
    executor, sizes = graph_in(manifest)
    if given is None and (moving := _moving_bits(manifest, executor)):
        if order.options.batching == "rows":
            warnings += (f"{moving}; an answer that is computed again may differ in the last bits",)
        else:
            options = replace(order.options, batching="request")
            manifest = derive_manifest(open_session(files, threads=order.threads), signature, options).manifest
            executor, sizes = graph_in(manifest)
            warnings += (f"{moving}; so requests are computed one by one, unless batching 'rows' is asked for",)
    model = OnnxLoadedModel(manifest, executor, sizes)
    if order.executor == "openvino":
        began = time.perf_counter()
        model = load_in_openvino(
            manifest, files, threads=order.threads, batch_rows_max=ROWS_TRIED, precision=order.precision
        )
        load_ms = (time.perf_counter() - began) * 1000
    facts = _measured(model, signature, load_ms, before)
    return TrialPassed(manifest=manifest, facts=facts, warnings=warnings[:WARNINGS_MAX])


def _tried_exported(artifact: Path, exported: Path, threads: int) -> TrialPassed:
    from hotswap_stream.adapters.onnx.exported import unpack_exported
    from hotswap_stream.adapters.onnx.exported_loader import EXTERNAL_NAME, load_exported
    from hotswap_stream.adapters.onnx.graph import read_signature
    from hotswap_stream.application.artifacts.file import read_manifest

    content, graph = artifact.read_bytes(), exported.read_bytes()
    manifest = read_manifest(content)
    signature = read_signature(unpack_exported(manifest, graph).graph, [EXTERNAL_NAME])
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    model = load_exported(manifest, content, graph, threads=threads, batch_rows_max=ROWS_TRIED)
    load_ms = (time.perf_counter() - began) * 1000
    return TrialPassed(manifest=manifest, facts=_measured(model, signature, load_ms, before))


def _measured(model: "OnnxLoadedModel", signature: "GraphSignature", load_ms: float, before: int) -> TrialFacts:
    from hotswap_stream.adapters.onnx.samples import sample_request

    inputs = sample_request(model.manifest)
    times = []
    for _ in range(1 + WARM_RUNS):
        began = time.perf_counter()
        model.infer(inputs)
        times.append((time.perf_counter() - began) * 1000)
    return TrialFacts(
        executor=model.executor,
        load_ms=round(load_ms, 3),
        resident_bytes=max(0, psutil.Process().memory_info().rss - before),
        first_ms=round(times[0], 3),
        warm_ms=round(median(times[1:]), 3),
        opsets=signature.opsets,
        producer=signature.producer,
    )


def _moving_bits(manifest: ArtifactManifest, executor: Executor) -> str | None:
    """Return what tells that a row's bits are not the same wherever in a batch it is, or None where they are.

    Answers are computed again one day, and their place in the batch is not known then.
    """
    from hotswap_stream.adapters.models.batch_sizes import batch_sizes
    from hotswap_stream.adapters.models.checking import OutputsDifferError, Reference

    if not manifest.has_rows:
        return None
    try:
        Reference(manifest, executor, ROWS_TRIED).check(executor, batch_sizes(ROWS_TRIED))
    except OutputsDifferError as error:
        return f"rows do not have the same outputs in every batch ({error})"
    return None


def _limit(order: TrialOrder) -> None:
    artifacts = filter(None, [order.artifact, order.exported])
    size_bytes = sum(Path(path).stat().st_size for path in (*order.files.values(), *artifacts))
    limits = order.limits
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes_max + 4 * size_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds_max),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _soft, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    leave(main())
