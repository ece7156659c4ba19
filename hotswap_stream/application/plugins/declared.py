"""What installed packages say that they bring: read from their metadata, without importing any of it."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import Package
from hotswap_stream.application.plugins.names import (
    BUILT_IN,
    GROUPS,
    PluginConflictError,
    PluginKey,
    PluginKind,
)


class Declared(Struct, frozen=True, kw_only=True):
    """An entry point."""

    kind: PluginKind
    name: str
    module: str
    """To be imported; that registers the name."""
    package: Package | None

    @property
    def key(self) -> PluginKey:
        """What identifies it."""
        return PluginKey(self.kind, self.name)

    def __str__(self) -> str:
        package = "a package without a name" if self.package is None else f"{self.package.name} {self.package.version}"
        return f"{package} ({self.module})"


@cache
def declared_plugins() -> dict[PluginKey, Declared]:
    """Return what is declared in this environment.

    Raises:
        PluginConflictError: Two packages declare one name, or one takes the name of something built in.
    """
    return by_key(_read(kind, entry) for kind, group in GROUPS.items() for entry in entry_points(group=group))


def by_key(plugins: Iterable[Declared]) -> dict[PluginKey, Declared]:
    """Return them by what identifies them. PluginConflictError."""
    found: dict[PluginKey, Declared] = {}
    for plugin in plugins:
        if plugin.name in BUILT_IN[plugin.kind]:
            raise PluginConflictError(
                f"{plugin.kind} {plugin.name!r} is declared by {plugin}, and hotswap-stream itself has one of this "
                "name; the package must give it another one"
            )
        other = found.setdefault(plugin.key, plugin)
        if other != plugin:
            raise PluginConflictError(
                f"{plugin.kind} {plugin.name!r} is declared twice: by {other} and by {plugin}; uninstall one of them"
            )
    return found


def _read(kind: PluginKind, entry: EntryPoint) -> Declared:
    package = None if entry.dist is None else Package(name=entry.dist.name, version=entry.dist.version)
    return Declared(kind=kind, name=entry.name, module=entry.module, package=package)
