"""Which executor serves a version: candidates are built, checked against a reference, and timed beside the standard."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from msgspec import Struct

from hotswap_stream.adapters.models.checking import OutputsDifferError, Reference, sample_inputs
from hotswap_stream.adapters.models.executor import Executor, ExecutorUnavailableError
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

Build = Callable[[], Executor]
Clock = Callable[[], float]

ROUNDS_MIN, ROUNDS_MAX = 2, 7
SLOWER_MAX = 1.05
"""A candidate may take this much longer than the standard at one row or at the largest size, to win at the other."""
GAIN_MIN = 1.1
"""A smaller gain is within the noise of a busy machine."""

log = structlog.get_logger(__name__)


class Rates(Struct, frozen=True):
    """Rows per second of one executor, measured at load."""

    one_row: float
    largest: float


class Choice(Struct, frozen=True):
    """The executor that serves, and what was measured of each; no rates where nothing was measured."""

    executor: Executor
    rates: Mapping[str, Rates]
    dropped: Mapping[str, str]
    """Name → why it may not serve."""
    remembered: bool = False
    """Whether the rates are those of an earlier version of the same architecture."""


def checked(
    manifest: ArtifactManifest, reference: Reference, name: str, build: Build, sizes: Sequence[int]
) -> Executor | str:
    """Return the candidate if it computes what the reference does, at one row and at the largest size; else why not."""
    try:
        candidate = build()
        reference.check(candidate, (sizes[-1], sizes[0]))
    except (OutputsDifferError, ExecutorUnavailableError) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  # whatever a library raises: another serves, and the log says why
        reason = f"{type(error).__name__}: {error}"
    else:
        return candidate
    log.warning("executor_dropped", what=manifest.what, executor=name, reason=reason[:500])
    return reason


def choose(
    manifest: ArtifactManifest,
    standard: Executor,
    builds: Mapping[str, Build],
    sizes: Sequence[int],
    *,
    choice_ms_max: float,
    stopwatch: Clock = time.thread_time,
    clock: Clock = time.perf_counter,
    reference: Executor | None = None,
) -> Choice:
    """Return the fastest of the standard and the candidates; the standard if no time is left to know one as faster.

    The limit is looked at between steps: a step that has begun is finished.

    Args:
        manifest: Inputs and outputs of the version.
        standard: What serves if nothing else is faster.
        builds: Name → what builds the candidate.
        sizes: Rows that a forward pass may have, ascending.
        choice_ms_max: Time to build, check and measure.
        stopwatch: Times executors: by default this thread's own seconds on a processor, so that a busy machine changes
            nothing. It must be a clock of the wall for executors that use other threads, or another device.
        clock: Seconds, for the limit.
        reference: What candidates are checked against; None: the standard.
    """
    deadline = clock() + choice_ms_max / 1000
    right = Reference(manifest, reference or standard, sizes[-1])
    executors: dict[str, Executor] = {standard.name: standard}
    dropped: dict[str, str] = {}
    for name, build in builds.items():
        if clock() >= deadline:
            dropped[name] = f"no time left of {choice_ms_max} ms"
            continue
        candidate = checked(manifest, right, name, build, sizes)
        if isinstance(candidate, str):
            dropped[name] = candidate
        else:
            executors[name] = candidate
    rates = measure(manifest, executors, sizes, stopwatch, lambda: clock() >= deadline) if len(executors) > 1 else {}
    best = fastest(rates, standard.name) if rates else standard.name
    return Choice(executors[best], rates, dropped)


def measure(
    manifest: ArtifactManifest,
    executors: Mapping[str, Executor],
    sizes: Sequence[int],
    stopwatch: Clock,
    is_late: Callable[[], bool],
) -> dict[str, Rates]:
    """Time all in turns, and keep the best of a few short rounds each.

    So what else the machine does falls on all alike.
    """
    best = {name: [float("inf"), float("inf")] for name in executors}
    for index, rows in enumerate((sizes[0], sizes[-1])):
        inputs = sample_inputs(manifest, rows, seed=0)
        for number in range(ROUNDS_MAX):
            if number >= ROUNDS_MIN and is_late():
                break
            for name, executor in executors.items():
                began = stopwatch()
                executor.run(inputs)
                best[name][index] = min(best[name][index], stopwatch() - began)
    return {
        name: Rates(sizes[0] / max(one_row, 1e-9), sizes[-1] / max(largest, 1e-9))
        for name, (one_row, largest) in best.items()
    }


def fastest(rates: Mapping[str, Rates], standard: str) -> str:
    """Return the name with the largest gain over the standard.

    That is the geometric mean of the gains at one row and at the largest size.
    """
    usual = rates[standard]
    best, best_gain = standard, GAIN_MIN
    for name, found in rates.items():
        gains = (found.one_row / usual.one_row, found.largest / usual.largest)
        gain = (gains[0] * gains[1]) ** 0.5
        if min(gains) * SLOWER_MAX >= 1 and gain > best_gain:
            best, best_gain = name, gain
    return best
