"""Which options a version may have: what computes it, and how precisely."""

from hotswap_events.registry.version_options import BF16, F32, PLAIN, VersionOptions

PRECISIONS = (F32, BF16)
EXECUTORS = ("eager", "channels-last", "onnxruntime", "compile", "openvino")
EXECUTORS_OF: dict[str, tuple[str, ...]] = {
    F32: EXECUTORS,
    BF16: ("openvino",),
}
"""Precision → executors that compute with it."""
EXECUTORS_OF_KIND: dict[str, tuple[str, ...]] = {
    "architecture": EXECUTORS,
    "onnx": ("onnxruntime", "openvino"),
}
"""Kind of artifact → executors that compute it. A runtime of the users' own computes as it does."""


def wrong_options(options: VersionOptions | None) -> str | None:
    """Return why no version can have these options, whatever its artifact, or None."""
    if options is None:
        return None
    if options.precision not in PRECISIONS:
        return f"precision {options.precision[:50]!r} is not known; known are {', '.join(PRECISIONS)}"
    if options.executor is None:
        return None
    if options.executor not in EXECUTORS:
        return f"executor {options.executor[:50]!r} is not known; known are {', '.join(EXECUTORS)}"
    able = EXECUTORS_OF[options.precision]
    if options.executor not in able:
        return f"executor {options.executor!r} does not compute with {options.precision}; {', '.join(able)} does"
    return None


def wrong_options_for(kind: str, options: VersionOptions | None) -> str | None:
    """Return why a version of an artifact of this kind cannot have these options, or None."""
    if wrong := wrong_options(options):
        return wrong
    if options is None or options == PLAIN:
        return None
    able = EXECUTORS_OF_KIND.get(kind, ())
    if not able:
        return f"an artifact of kind {kind!r} computes by itself: it takes neither an executor nor a precision"
    if options.executor is not None and options.executor not in able:
        return f"executor {options.executor!r} does not compute artifacts of kind {kind!r}; {', '.join(able)} do"
    return None


def executor_of(options: VersionOptions) -> str | None:
    """Return the only executor that may compute such a version; None: whichever is the fastest."""
    if options.executor is not None or options.precision == F32:
        return options.executor
    return next(iter(EXECUTORS_OF.get(options.precision, ())), None)


def options_told(options: VersionOptions | None) -> VersionOptions | None:
    """Return what an event says of the options: nothing, where they are those of a version that names none."""
    if options is None or options == PLAIN:
        return None
    # Left out where it is the default, whoever wrote it.
    return VersionOptions(executor=options.executor) if options.precision == F32 else options


def options_text(options: VersionOptions) -> str:
    """Return the options for people: nothing for a version that names none."""
    precision = "" if options.precision == F32 else options.precision
    return " ".join(filter(None, (options.executor, precision)))
