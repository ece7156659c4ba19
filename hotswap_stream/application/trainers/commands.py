"""Programs that the operator of a machine allows as trainers, by name."""

import re
import shlex
from collections.abc import Collection

from hotswap_stream.application.plugins.names import BUILT_IN_TRAINERS
from hotswap_stream.errors import ConfigurationError

VARIABLE = "HOTSWAP_TRAINER_COMMANDS"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def trainer_entries(variable: str, text: str | None, what: str, taken: Collection[str] = ()) -> dict[str, str]:
    """Return name → what stands after it, of a setting `NAME=…;NAME=…`.

    Raises:
        ConfigurationError: It does not fit; the message says where.
    """
    found: dict[str, str] = {}
    for position, part in enumerate(filter(None, (each.strip() for each in (text or "").split(";"))), start=1):
        name, separator, value = (each.strip() for each in part.partition("="))
        if not separator or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{variable}: entry {position} is not NAME={what} with a name of lower-case letters, digits, '.', '_' "
                "and '-'"
            )
        if name in taken or name in found:
            raise ConfigurationError(f"{variable}: the name {name!r} is taken; give entry {position} another one")
        found[name] = value
    return found


def parse_trainer_commands(text: str | None) -> dict[str, tuple[str, ...]]:
    """Return name → command with its arguments, as `HOTSWAP_TRAINER_COMMANDS` says.

    Raises:
        ConfigurationError: It does not fit; the message says where.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, command in trainer_entries(VARIABLE, text, "COMMAND", BUILT_IN_TRAINERS).items():
        try:
            arguments = tuple(shlex.split(command))
        except ValueError as error:
            raise ConfigurationError(f"{VARIABLE}: the command of {name!r} cannot be read: {error}") from error
        if not arguments:
            raise ConfigurationError(f"{VARIABLE}: the command of {name!r} is empty")
        found[name] = arguments
    return found
