"""The process that exports one: `python -m hotswap_stream.adapters.torch.executors.exporting_process MODULE …`.

Reads one `ExportOrder` line from standard input, writes one `ExportLine` to standard output, and ends with the input.
A process of its own, because whoever registers has no torch loaded, and must live on whatever is in the file.
"""

import resource
import sys
from pathlib import Path

import msgspec

from hotswap_stream.application.artifacts.exporting import ExportOrder, GraphExported, GraphRefused
from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.errors import HotswapError


def main() -> int:
    """Return 0 after an `exported` line, 1 after a `refused` one. Any other exit code means a crash."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=ExportOrder)
    end_with_owner()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    name_modules(sys.argv[1:])
    try:
        Path(order.target).write_bytes(exported(order))
    except (HotswapError, OSError, MemoryError, ValueError) as error:
        write_line(lines, GraphRefused(reason=str(error) or type(error).__name__))
        return EXIT_ABORTED
    write_line(lines, GraphExported())
    return 0


def exported(order: ExportOrder) -> bytes:
    """Return the artifact of the graph, which computes with the version's weights what torch does.

    Raises:
        HotswapError: There is none; the message says why.
    """
    from hotswap_stream.adapters.models.batch_sizes import batch_sizes
    from hotswap_stream.adapters.models.checking import Reference, rows_mix
    from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
    from hotswap_stream.adapters.onnx.exported import pack_exported
    from hotswap_stream.adapters.onnx.exported_loader import open_exported
    from hotswap_stream.adapters.torch.executors.candidates import can_be_exported
    from hotswap_stream.adapters.torch.executors.executors import EagerExecutor
    from hotswap_stream.adapters.torch.executors.graph_files import GraphFiles
    from hotswap_stream.adapters.torch.executors.plain_graph import plain_graph
    from hotswap_stream.adapters.torch.modules.loading import load_module
    from hotswap_stream.adapters.torch.modules.threads import limit_threads
    from hotswap_stream.application.artifacts.file import read_manifest

    limit_threads(order.threads)
    content = Path(order.artifact).read_bytes()
    manifest = read_manifest(content)
    if not can_be_exported(manifest):
        raise ExecutorUnavailableError("sizes other than the batch are free in its inputs")
    eager = EagerExecutor(load_module(manifest, content), manifest)
    sizes = batch_sizes(order.batch_rows_max)
    if rows_mix(manifest, eager, sizes[-1]):
        raise ExecutorUnavailableError("rows of a batch change each other")
    graph_file = GraphFiles(Path(order.graph_folder), order.graph_ms_max, here=True).make("onnxruntime", manifest)
    graph = pack_exported(manifest, plain_graph(graph_file.read_bytes()))
    # What will be done by a worker without torch, with these weights.
    executor, _ = open_exported(manifest, content, graph, threads=order.threads, batch_rows_max=order.batch_rows_max)
    Reference(manifest, eager, sizes[-1]).check(executor, (sizes[-1], sizes[0]))
    return graph


if __name__ == "__main__":
    leave(main())
