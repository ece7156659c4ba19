"""Plug-ins that were imported in this process, by name. A name that stands in an artifact chooses among these alone."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import Argument, Shape, TensorSpec, WindowSpec
from hotswap_stream.application.plugins.names import (
    BUILT_IN,
    PluginConflictError,
    PluginKey,
    PluginKind,
)

if TYPE_CHECKING:
    import numpy.typing as npt

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Signature(Struct, frozen=True, kw_only=True):
    """What goes in and out of a module, for the manifest."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    warm_up: dict[str, Shape]
    window: WindowSpec | None = None


class Runtime(Protocol):
    """What computes a version with code of its own. One call at a time, in a process of its own.

    An exception fails the request whose inputs caused it. ValueError, TypeError, ArithmeticError, IndexError and
    KeyError say that the inputs are wrong; any other one, that the runtime is.
    """

    def load(self, files: Mapping[str, memoryview], arguments: Mapping[str, Argument]) -> None:
        """Make ready to compute.

        Args:
            files: The files of the artifact by name, in memory that lasts until `close`.
            arguments: Those that the artifact's manifest gives.

        Raises:
            Exception: It cannot be made ready; the version is not loaded, and the message says why.
        """
        ...

    def infer(self, inputs: "Mapping[str, npt.NDArray[Any]]") -> "Mapping[str, npt.NDArray[Any]]":
        """Compute outputs.

        Args:
            inputs: Input → array of the datatype and shape that the manifest declares; BYTES are arrays of Python
                texts. With batching `rows`, the first dimension is the batch, of any size.

        Returns:
            Output → array of the declared datatype and shape; with batching `rows`, as many rows as went in, and no row
            depends on those beside it.
        """
        ...

    def close(self) -> None:
        """Give back what it holds. The process ends after this in any case."""
        ...


Describe = Callable[..., Signature]


class Registered(Struct, frozen=True, kw_only=True):
    """A plug-in."""

    kind: PluginKind
    name: str
    build: Callable[..., Any]
    """Returns a torch module, or a runtime; or is what evaluates."""
    describe: Describe | None = None
    module: str
    """Whose import registers it."""
    parameters: type[Struct] | None = None
    """What a trainer takes."""


_BuildT = TypeVar("_BuildT", bound=Callable[..., Any])
_RuntimeT = TypeVar("_RuntimeT", bound=Callable[[], Runtime])

_registered: dict[PluginKey, Registered] = {}


def architecture(name: str, describe: Describe) -> Callable[[_BuildT], _BuildT]:
    """Register a function or class that builds a torch module.

    Args:
        name: Lower-case letters, digits, '.', '_', '-'; nobody else's.
        describe: Takes the same arguments, and returns what goes in and out.

    Raises:
        PluginConflictError: The name is taken.
        ValueError: It is none.
    """

    def register(build: _BuildT) -> _BuildT:
        _add(Registered(kind="architecture", name=name, build=build, describe=describe, module=build.__module__))
        return build

    return register


def runtime(name: str) -> Callable[[_RuntimeT], _RuntimeT]:
    """Register a class of three methods, see `Runtime`; it is made without arguments.

    Args:
        name: Lower-case letters, digits, '.', '_', '-'; nobody else's.

    Raises:
        PluginConflictError: The name is taken.
        ValueError: It is none.
    """

    def register(build: _RuntimeT) -> _RuntimeT:
        _add(Registered(kind="runtime", name=name, build=build, module=build.__module__))
        return build

    return register


def evaluator(name: str) -> Callable[[_BuildT], _BuildT]:
    """Register a function that measures outputs on a labelled set.

    It takes the version's outputs and the arrays of the set that say what should come out, each as name → array with
    the rows first, and returns metrics.

    Args:
        name: Lower-case letters, digits, '.', '_', '-'; nobody else's. It is the kind of the sets that are measured.

    Raises:
        PluginConflictError: The name is taken.
        ValueError: It is none.
    """

    def register(measure: _BuildT) -> _BuildT:
        _add(Registered(kind="evaluator", name=name, build=measure, module=measure.__module__))
        return measure

    return register


def trainer(name: str, parameters: type[Struct]) -> Callable[[_BuildT], _BuildT]:
    """Register a function that trains: it gets a `TrainingJob` and the parameters, and returns a `Trained`.

    Args:
        name: Lower-case letters, digits, '.', '_', '-'; nobody else's.
        parameters: A msgspec Struct whose fields have defaults and bounds, so that what does not fit is refused before
            anything starts; its docstrings are what users are shown.

    Raises:
        PluginConflictError: The name is taken.
        ValueError: It is none.
    """

    def register(train: _BuildT) -> _BuildT:
        _add(Registered(kind="trainer", name=name, build=train, module=train.__module__, parameters=parameters))
        return train

    return register


def registered(key: PluginKey) -> Registered | None:
    """Return a plug-in that was imported; None if none of this name was."""
    return _registered.get(key)


def registered_keys() -> tuple[PluginKey, ...]:
    """Return what was imported so far, sorted."""
    return tuple(sorted(_registered))


def _add(plugin: Registered) -> None:
    if not _NAME.fullmatch(plugin.name):
        raise ValueError(
            f"{plugin.kind} name {plugin.name[:100]!r} is not valid: lower-case letters, digits, '.', '_', '-'"
        )
    taken = _registered.setdefault(PluginKey(plugin.kind, plugin.name), plugin)
    by = taken.module
    if plugin.name in BUILT_IN[plugin.kind] and not _is_ours(plugin):
        if taken is plugin:  # torch's own are not imported yet
            del _registered[PluginKey(plugin.kind, plugin.name)]
        by = "hotswap-stream itself"
    elif taken is plugin:
        return
    raise PluginConflictError(
        f"{plugin.kind} {plugin.name!r} is registered twice: by {by} and by {plugin.module}; "
        "rename one of them, or leave one out"
    )


def _is_ours(plugin: Registered) -> bool:
    return plugin.module.startswith("hotswap_stream.")
