"""From a name to a plug-in: imported when it is first asked for, from what is installed or the operator named."""

import importlib
import threading
from collections.abc import Sequence

import structlog

from hotswap_stream.application.artifacts.manifest import Package
from hotswap_stream.application.plugins.declared import declared_plugins
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError, PluginConflictError, PluginKey
from hotswap_stream.application.plugins.registered import Registered, registered

REASON_CHARACTERS_MAX = 1_000

_log = structlog.get_logger(__name__)

_guard = threading.RLock()
_operator_modules: tuple[str, ...] = ()
_imported: dict[str, str | None] = {}
"""Module → why it does not import; None: it does."""


def name_modules(modules: Sequence[str]) -> None:
    """Take in which modules the operator named; they are imported when a name is not found without them."""
    global _operator_modules
    _operator_modules = tuple(modules)


def operator_modules() -> tuple[str, ...]:
    """Return the modules that the operator named, for child processes."""
    return _operator_modules


def find_plugin(key: PluginKey) -> Registered:
    """Return a plug-in, imported if need be.

    Raises:
        MissingPluginError: No installed package and no module of the operator's brings it, or it does not import.
        PluginConflictError: Its name is another one's, too.
    """
    found = registered(key)
    if found is not None:
        return found
    declared = declared_plugins().get(key)
    why = []
    for module in [declared.module] if declared is not None else _operator_modules:
        reason = import_once(module)
        found = registered(key)
        if found is not None:
            return found
        if reason is not None:
            why.append(f"{module} does not import: {reason}")
        elif declared is not None:
            why.append(f"{module} was imported and does not register it")
    package = None if declared is None else declared.package
    raise MissingPluginError(MissingPlugin(kind=key.kind, name=key.name, package=package), "; ".join(why))


def package_of(key: PluginKey) -> Package | None:
    """Return the package that brings a plug-in, for the manifest of artifacts; None if none declares it."""
    declared = declared_plugins().get(key)
    return None if declared is None else declared.package


def import_once(module: str) -> str | None:
    """Import a module of a plug-in; return why that failed, which is logged the first time, or None.

    Raises:
        PluginConflictError: It registers a name that is taken.
    """
    with _guard:
        if module in _imported:
            return _imported[module]
        reason: str | None = None
        try:
            importlib.import_module(module)
        except PluginConflictError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is not our code, and must not end this process
            reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS_MAX]
            _log.warning("plugin_not_imported", module=module, reason=reason)
        _imported[module] = reason
        return reason
