"""The process that makes a graph: `python -m hotswap_stream.client.publishing.stored.conversion_process`.

Reads one `ConversionOrder` line from standard input, writes one `ConversionLine` to standard output, and ends with the
input: whoever started it holds the other end of the pipe. What a hostile file does here, it does to this process alone.
"""

import os
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from hotswap_stream.application.mlflow.importing.conversion import (
    RESULT_FILE,
    ConversionOrder,
    ConversionRefused,
    Converted,
)
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.errors import HotswapError

REASON_CHARACTERS_MAX = 4_000
_PACKAGES = {
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "skops": ("scikit-learn", "skops"),
    "pt2": ("torch",),
}


def main() -> int:
    """Return 0 after a `converted` line, 1 after a `refused` one. Any other exit code means a crash, or a limit."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=ConversionOrder)
    end_with_owner()
    _limit(order)
    try:
        line = converted(order)
    except ModuleNotFoundError as error:
        from hotswap_stream.client.publishing.choosing import missing

        return _refused(lines, missing(error))
    except Exception as error:  # noqa: BLE001 - libraries raise what they like for a file that is none of theirs
        return _refused(lines, error)
    write_line(lines, line)
    return 0


def converted(order: ConversionOrder) -> Converted:
    """Open what the order names, and make a graph of it in the folder that it names.

    Raises:
        HotswapError: It cannot be made; the message says why.
    """
    from hotswap_stream.client.publishing.preparing import prepared
    from hotswap_stream.client.publishing.stored.examples import example_for
    from hotswap_stream.client.publishing.stored.opening import opened
    from hotswap_stream.client.publishing.wishes import Wishes

    model = opened(order)
    example = None if order.how == "onnx" else example_for(order, model)
    into = Path(order.into)
    wishes = Wishes(example=None if example is None else example.rows)
    with prepared(model, wishes) as made:
        _take(made.file, into / RESULT_FILE)
        for index, path in enumerate(made.beside.values()):
            _take(path, into / f"beside-{index}")
    facts = dict(made.tags)
    if example is not None:
        facts["example"] = example.words
    return Converted(
        beside=tuple(made.beside),
        options=made.options,
        metrics={} if made.comparison is None else made.comparison.metrics(),
        facts=facts,
        environment=_versions(order.how),
        warnings=made.warnings if example is None or not example.remark else (*made.warnings, example.remark),
    )


def _take(file: Path, place: Path) -> None:
    # Both lie in the temporary folder; a name more costs nothing, and a copy would cost as much again.
    try:
        os.link(file, place, follow_symlinks=False)
    except OSError:
        place.write_bytes(file.read_bytes())


def _versions(how: str) -> dict[str, str]:
    found = {}
    for name in ("onnx", *_PACKAGES.get(how, ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _refused(lines: object, error: Exception) -> int:
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, HotswapError):
        text = f"the model cannot be opened: {type(error).__name__}: {text.splitlines()[0]}"
    write_line(lines, ConversionRefused(reason=text[:REASON_CHARACTERS_MAX]))  # type: ignore[arg-type]
    return EXIT_ABORTED


def _limit(order: ConversionOrder) -> None:
    limits, size_bytes = order.limits, Path(order.file).stat().st_size
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes_max + 8 * size_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds_max),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_bytes_max),
    ):
        _soft, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    leave(main())
