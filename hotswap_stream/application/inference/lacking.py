"""What versions need that workers lack, before anybody promotes one."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from hotswap_events.inference.fleet import FleetPlugin, FleetVersion


class LackedPlugin(Struct, frozen=True, kw_only=True):
    """Code that a version needs and live workers lack."""

    model_version: str
    plugin: FleetPlugin
    workers: tuple[str, ...]
    """Those that lack it."""
    loaded_elsewhere: bool
    """Whether some live worker holds the version; if not, a promotion of it is rolled back."""


class _Worker(Protocol):
    @property
    def worker(self) -> str: ...

    @property
    def versions(self) -> dict[str, FleetVersion]: ...


def lacked_plugins(live: Iterable[_Worker]) -> tuple[LackedPlugin, ...]:
    """Return what versions need that these workers lack, by version."""
    lacking: dict[str, list[str]] = {}
    plugins: dict[str, FleetPlugin] = {}
    loaded: set[str] = set()
    for worker in live:
        for name, version in worker.versions.items():
            if version.state in ("loaded", "serving"):
                loaded.add(name)
            elif version.missing is not None:
                lacking.setdefault(name, []).append(worker.worker)
                plugins[name] = version.missing
    return tuple(
        LackedPlugin(model_version=name, plugin=plugins[name], workers=tuple(workers), loaded_elsewhere=name in loaded)
        for name, workers in sorted(lacking.items())
    )


def plugin_text(plugin: FleetPlugin) -> str:
    """Return a plug-in for people: its kind, its name, and its package with the version."""
    package = " ".join(filter(None, (plugin.package, plugin.version)))
    return f"{plugin.kind} {plugin.name}" + (f" ({package})" if package else "")


def lacked_text(lacked: LackedPlugin) -> str:
    """Return for people what a version lacks, and what follows from it."""
    workers = ", ".join(lacked.workers)
    follows = "" if lacked.loaded_elsewhere else "; no live worker has loaded it, so a promotion would be rolled back"
    return f"{lacked.model_version} needs {plugin_text(lacked.plugin)}, which {workers} lacks{follows}"
