"""The process that imports every plug-in: `python -m hotswap_stream.adapters.plugins.probe_process [MODULE …]`.

Writes one `ProbeLine` to standard output, and ends with the input: whoever started it holds the other end of the pipe.
"""

import sys

from msgspec import Struct

from hotswap_events.inference.fleet import FleetPlugin
from hotswap_stream.application.artifacts.manifest import Package
from hotswap_stream.application.plugins.declared import declared_plugins
from hotswap_stream.application.plugins.finding import find_plugin, import_once, name_modules
from hotswap_stream.application.plugins.names import MissingPluginError, PluginConflictError, PluginKey
from hotswap_stream.application.plugins.registered import registered, registered_keys
from hotswap_stream.application.processes.owned import claim_stdout, end_with_owner, write_line
from hotswap_stream.application.trainers.built_in import shown_parameters


class ProbeFound(Struct, frozen=True, tag="found"):
    """All plug-ins."""

    plugins: tuple[FleetPlugin, ...]
    trainer_parameters: dict[str, tuple[str, ...]] = {}
    """Trainer → its parameters with their defaults, for people."""


class ProbeConflict(Struct, frozen=True, tag="conflict"):
    """Two have one name."""

    reason: str


ProbeLine = ProbeFound | ProbeConflict


def main() -> int:
    """Return 0 after a line."""
    lines = claim_stdout()
    end_with_owner()
    try:
        found = probe(tuple(sys.argv[1:]))
        write_line(lines, ProbeFound(found, _parameters_of(found)))
    except PluginConflictError as error:
        write_line(lines, ProbeConflict(str(error)))
    return 0


def probe(modules: tuple[str, ...]) -> tuple[FleetPlugin, ...]:
    """Return what is declared, then what the modules bring beside that, then modules that do not import.

    Raises:
        PluginConflictError: Two have one name.
    """
    name_modules(modules)
    declared = declared_plugins()
    found = [_shown(key, plugin.package, _why_missing(key)) for key, plugin in declared.items()]
    for module in modules:
        reason = import_once(module)
        if reason is not None:
            found.append(FleetPlugin(kind="module", name=module, error=reason))
    for key in registered_keys():
        plugin = registered(key)
        if key not in declared and plugin is not None and not plugin.module.startswith("hotswap_stream."):
            found.append(_shown(key, None, None))
    return tuple(found)


def _parameters_of(found: tuple[FleetPlugin, ...]) -> dict[str, tuple[str, ...]]:
    trainers = {each.name: registered(PluginKey("trainer", each.name)) for each in found if each.kind == "trainer"}
    return {
        name: shown_parameters(plugin.parameters)
        for name, plugin in trainers.items()
        if plugin is not None and plugin.parameters is not None
    }


def _why_missing(key: PluginKey) -> str | None:
    try:
        find_plugin(key)
    except MissingPluginError as error:
        return error.why
    return None


def _shown(key: PluginKey, package: Package | None, error: str | None) -> FleetPlugin:
    return FleetPlugin(
        kind=key.kind,
        name=key.name,
        package=None if package is None else package.name,
        version=None if package is None else package.version,
        error=error,
    )


if __name__ == "__main__":
    sys.exit(main())
