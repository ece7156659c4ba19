"""The user's own code: which plug-ins this environment has."""

from importlib.util import find_spec

from hotswap_events.inference.fleet import FleetPlugin
from hotswap_stream.application.artifacts.manifest import Kind
from hotswap_stream.application.plugins.declared import declared_plugins
from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.plugins.names import parse_modules
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

RUNTIME_SECONDS_MAX = 30.0
"""A worker whose batch takes a minute is taken for stuck: there must be time to try the others of the batch alone."""


_NEEDS: dict[Kind, tuple[str, ...]] = {
    "architecture": ("torch", "safetensors"),
    "onnx": ("onnxruntime", "onnx"),
    "runtime": ("numpy",),
}


def use_plugins(settings: Settings) -> tuple[str, ...]:
    """Let this process find plug-ins by name; return the modules that the operator named.

    Raises:
        ConfigurationError: A setting does not fit.
        PluginConflictError: Two packages declare one name.
    """
    if not 0.01 <= settings.runtime_seconds_max <= RUNTIME_SECONDS_MAX:
        raise ConfigurationError(
            f"HOTSWAP_RUNTIME_SECONDS_MAX is {settings.runtime_seconds_max}; 0.01 to {RUNTIME_SECONDS_MAX:g} is allowed"
        )
    if settings.runtime_load_seconds_max <= 0:
        raise ConfigurationError(
            f"HOTSWAP_RUNTIME_LOAD_SECONDS_MAX is {settings.runtime_load_seconds_max}; seconds above 0 are needed"
        )
    for name in ("runtime_memory_bytes_max", "runtime_cpu_seconds_max"):
        if getattr(settings, name) < 0:
            raise ConfigurationError(
                f"HOTSWAP_{name.upper()} is {getattr(settings, name)}; 0 for no limit, or a limit above it"
            )
    modules = parse_modules(settings.plugin_modules)
    declared_plugins()
    name_modules(modules)
    return modules


async def plugins_here(settings: Settings) -> tuple[FleetPlugin, ...]:
    """Return what is installed here or was named by the operator, imported in a process of its own to see if it does.

    Raises:
        PluginConflictError: Two plug-ins have one name.
        ConfigurationError: A setting does not fit.
    """
    return (await probed_plugins(settings))[0]


async def probed_plugins(settings: Settings) -> tuple[tuple[FleetPlugin, ...], dict[str, tuple[str, ...]]]:
    """Return what `plugins_here` does, and trainer → its parameters with their defaults, for people.

    Raises:
        PluginConflictError: Two plug-ins have one name.
        ConfigurationError: A setting does not fit.
    """
    modules = use_plugins(settings)
    if not modules and not declared_plugins():
        return (), {}
    from hotswap_stream.adapters.plugins.probe import probe

    found = await probe(modules)
    return found.plugins, found.trainer_parameters


def kinds_here() -> tuple[Kind, ...]:
    """Return the kinds of artifacts that can be loaded here: what they need is installed."""
    return tuple(kind for kind, modules in _NEEDS.items() if all(find_spec(module) for module in modules))
