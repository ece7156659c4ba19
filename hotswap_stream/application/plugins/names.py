"""What a plug-in is called, and what is said where one is missing."""

import re
from typing import Literal, NamedTuple

from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import Package
from hotswap_stream.errors import ConfigurationError, HotswapError

PluginKind = Literal["architecture", "runtime", "evaluator", "trainer"]
LackedKind = Literal["architecture", "runtime", "evaluator", "trainer", "executor"]

GROUPS: dict[PluginKind, str] = {
    "architecture": "hotswap_stream.architectures",
    "runtime": "hotswap_stream.runtimes",
    "evaluator": "hotswap_stream.evaluators",
    "trainer": "hotswap_stream.trainers",
}
"""Kind → group of the entry points by which installed packages declare what they bring."""

BUILT_IN_ARCHITECTURES = frozenset(
    {
        "cnn-28",
        "constant",
        "digits-cnn",
        "ffnn-784-32-32-32-10",
        "forecaster",
        "forecaster-288-96",
        "image-classifier",
        "linear",
        "recommender",
    }
)
"""Known without importing torch, so that a plug-in that takes one of these names is noticed at once."""

BUILT_IN_EVALUATORS = ("classification", "regression", "forecasting", "ranking")
BUILT_IN_TRAINERS = ("als", "forecaster", "image-classifier", "sklearn")
BUILT_IN: dict[PluginKind, frozenset[str]] = {
    "architecture": BUILT_IN_ARCHITECTURES,
    "runtime": frozenset(),
    "evaluator": frozenset(BUILT_IN_EVALUATORS),
    "trainer": frozenset(BUILT_IN_TRAINERS),
}
"""Names that no plug-in may take."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class PluginKey(NamedTuple):
    """What identifies a plug-in."""

    kind: PluginKind
    name: str


class MissingPlugin(Struct, frozen=True, kw_only=True):
    """What a process lacks."""

    kind: LackedKind
    name: str
    package: Package | None = None
    """What brings it, as far as that is known."""


class MissingPluginError(HotswapError):
    """A version needs code that is not installed here, or does not import; the message says which."""

    def __init__(self, missing: MissingPlugin, why: str = "") -> None:
        self.missing = missing
        self.why = why
        package = missing.package
        text = f"{missing.kind} {missing.name[:100]!r} is not known here"
        if package is not None:
            text += f"; the package {package.name} {package.version}".rstrip() + " brings it"
        super().__init__(f"{text}; {why}" if why else text)

    def of(self, package: Package | None) -> "MissingPluginError":
        """Return the same error with the package that an artifact names, unless one is known already."""
        if package is None or self.missing.package is not None:
            return self
        missing = MissingPlugin(kind=self.missing.kind, name=self.missing.name, package=package)
        return MissingPluginError(missing, self.why)


class PluginConflictError(ConfigurationError):
    """Two plug-ins have one name; the message names both."""


def parse_modules(text: str | None) -> tuple[str, ...]:
    """Return the modules of `HOTSWAP_PLUGIN_MODULES`. ConfigurationError if one is no module's name."""
    names = tuple(filter(None, (part.strip() for part in (text or "").split(","))))
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ConfigurationError(
                f"HOTSWAP_PLUGIN_MODULES: {name[:200]!r} is no name of a Python module, such as 'my_models.nets'"
            )
    return names
