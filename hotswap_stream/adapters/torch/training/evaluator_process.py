"""The process of one evaluation: `python -m hotswap_stream.adapters.torch.training.evaluator_process`.

Reads one `EvaluationOrder` line from standard input, writes one `EvaluationLine` to standard output, and ends with the
input: whoever started it holds the other end of the pipe.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.application.training.evaluation import EvaluationAborted, EvaluationOrder, Measured
from hotswap_stream.errors import HotswapError


def evaluator_command(modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the argument list that starts this process with the interpreter that runs now.

    `modules` are those with plug-ins that the operator named.
    """
    return (sys.executable, "-m", "hotswap_stream.adapters.torch.training.evaluator_process", *modules)


def main() -> int:
    """Return 0 after a `measured` line, 1 after an `aborted` one. Any other exit code means a crash."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=EvaluationOrder)
    end_with_owner()
    name_modules(sys.argv[1:])
    try:
        write_line(lines, measure(order))
    except (HotswapError, OSError) as error:
        traceback.print_exc()
        write_line(lines, EvaluationAborted(detail=str(error), not_measurable=isinstance(error, HotswapError)))
        return EXIT_ABORTED
    return 0


def measure(order: EvaluationOrder) -> Measured:
    """Return the figures of one artifact, and of another on the same set. It sets this process's torch threads.

    Raises:
        DataFileError: The set cannot be read.
        NotAClassifierError: The architecture does not take the images.
        OSError: An artifact cannot be read; also the errors of loading.
    """
    # Here, not above: torch takes seconds to import, and the owner may be gone before that.
    from hotswap_stream.adapters.torch.data.digits import load_digits_split
    from hotswap_stream.adapters.torch.data.files import load_data_file
    from hotswap_stream.adapters.torch.modules.loading import load_module
    from hotswap_stream.adapters.torch.modules.threads import limit_threads
    from hotswap_stream.adapters.torch.training.evaluate import evaluate, predict
    from hotswap_stream.adapters.torch.training.run import item_shape_of
    from hotswap_stream.application.artifacts.file import read_manifest

    limit_threads(order.threads)
    data = load_digits_split().validation if order.data_file is None else load_data_file(Path(order.data_file))
    compared = predictions = None
    if order.compared_file is not None:
        content = Path(order.compared_file).read_bytes()
        manifest = read_manifest(content)
        module, item_shape = load_module(manifest, content), item_shape_of(manifest)
        compared, predictions = evaluate(module, data, item_shape), predict(module, data, item_shape)
    content = Path(order.candidate_file).read_bytes()
    manifest = read_manifest(content)
    candidate = evaluate(load_module(manifest, content), data, item_shape_of(manifest), predictions)
    return Measured(candidate=candidate, compared=compared)


if __name__ == "__main__":
    leave(main())
