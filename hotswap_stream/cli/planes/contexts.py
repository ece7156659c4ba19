"""Contexts: named places where commands go, in one file that only its owner may read."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from hotswap_stream.cli.planes.chosen import chosen
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka_settings import KAFKA_SECRETS, KafkaSettings
from hotswap_stream.settings import PREFIX, environment_variables

FILE_NAME = "contexts.json"
FILE_BYTES_MAX = 262_144
CONTEXTS_MAX = 1_000
OTHERS_MODE = 0o077
PLACES = ("api_url", "kafka_bootstrap_servers")
"""Settings that say where commands go: by an API, or by the cluster."""
CLUSTER_SETTINGS = (*KafkaSettings.__struct_fields__, "topic_prefix", "home", "artifacts")
API_SETTINGS = ("api_url", "api_key", "api_ca_file")
SECRETS = (*sorted(KAFKA_SECRETS), "api_key")

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]


class Context(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place: a cluster, or an API before it."""

    settings: dict[str, str] = {}
    """Setting → value, as of `HOTSWAP_…` in lower case."""
    variables: dict[str, str] = {}
    """Setting → the environment variable that holds it, for what should not stand in a file."""


class Contexts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    current: Name | None = None
    contexts: dict[Name, Context] = field(default_factory=dict)


def contexts_file() -> Path:
    """Return where the contexts are kept."""
    base = environment_variables().get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "hotswap-stream" / FILE_NAME


def read_contexts() -> Contexts:
    """Return the contexts; none where there is no file.

    Raises:
        ConfigurationError: Others may read the file, or it is none of contexts.
    """
    file = contexts_file()
    try:
        facts = file.stat()
        content = file.read_bytes() if facts.st_size <= FILE_BYTES_MAX else b""
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    if facts.st_mode & OTHERS_MODE:
        raise ConfigurationError(f"{file} may hold keys, and others may read it; chmod 600 {file}")
    try:
        found = msgspec.json.decode(content, type=Contexts)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file} holds no contexts: {error}") from error
    for name, context in found.contexts.items():
        if wrong := wrong_context(context):
            raise ConfigurationError(f"{file}: context {name!r} {wrong}")
    return found


def write_contexts(contexts: Contexts) -> None:
    """Write the file, in one step, readable by its owner only."""
    file = contexts_file()
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(contexts)) + b"\n")
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error


def wrong_context(context: Context) -> str | None:
    """Return what is wrong with a context; None if nothing is."""
    names = {**context.settings, **context.variables}
    places = [name for name in PLACES if name in names]
    if len(places) != 1:
        return "must name either a cluster (kafka_bootstrap_servers) or an API (api_url)"
    allowed = API_SETTINGS if places == ["api_url"] else CLUSTER_SETTINGS
    if wrong := sorted(set(names) - set(allowed)):
        return f"has {wrong[0]}, which is no setting of such a place; there are {', '.join(allowed)}"
    return None


def context_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment with the settings of the chosen context in it. What the environment says itself wins.

    A context is passed over as a whole where the environment says itself where to go.

    Args:
        environment: Variables; None: those of this process.

    Raises:
        ConfigurationError: There is no such context, or `--context` and the environment contradict each other.
    """
    own = dict(environment_variables() if environment is None else environment)
    named = chosen.get()
    contexts = read_contexts()
    name = named or contexts.current
    if name is None:
        return own
    context = contexts.contexts.get(name)
    if context is None:
        there = ", ".join(sorted(contexts.contexts)) or "none"
        raise ConfigurationError(f"there is no context {name!r}; there is {there}")
    places = [f"{PREFIX}{place.upper()}" for place in PLACES if own.get(f"{PREFIX}{place.upper()}")]
    if places:
        if named is not None:
            raise ConfigurationError(f"--context {named} and {places[0]} contradict each other: unset {places[0]}")
        return own
    return {**_variables(context, own), **own}


def _variables(context: Context, own: Mapping[str, str]) -> dict[str, str]:
    found = {f"{PREFIX}{name.upper()}": value for name, value in context.settings.items()}
    for name, variable in context.variables.items():
        if variable not in own:
            raise ConfigurationError(f"the context takes {name} from {variable}, which is not set")
        found[f"{PREFIX}{name.upper()}"] = own[variable]
    return found
