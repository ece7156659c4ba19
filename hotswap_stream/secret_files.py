"""Secrets that stand in files instead of variables: `HOTSWAP_<NAME>_FILE` names the file of `HOTSWAP_<NAME>`.

Variables of a process can be read by whoever may look at it, and are handed on to its children; orchestrators mount
secrets as files for that reason.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from hotswap_stream.errors import ConfigurationError

FILE_BYTES_MAX = 65_536
SUFFIX = "_file"


def with_secret_files(values: Mapping[str, str], secrets: Collection[str], prefix: str) -> dict[str, str]:
    """Return the values with what stands in files in place of the files' names.

    Args:
        values: Setting → value, as they came.
        secrets: Settings that may stand in files.
        prefix: Of the variables, for errors.

    Raises:
        ConfigurationError: A file cannot be read or holds no secret, or both the secret and a file are given.
    """
    found = dict(values)
    for name in sorted(secrets):
        path = found.pop(f"{name}{SUFFIX}", None)
        if path is None:
            continue
        variable = f"{prefix}{name.upper()}"
        if name in found:
            raise ConfigurationError(f"{variable} and {variable}_FILE exclude each other: unset one of them")
        found[name] = _secret_in(path, f"{variable}_FILE")
    return found


def _secret_in(path: str, variable: str) -> str:
    """Return what a file holds, without the end of its line. Nothing of it is ever in an error."""
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no path"
        raise ConfigurationError(f"{variable}: {path[:200]!a} cannot be read: {cause}") from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{variable}: {path[:200]!a} has more than {FILE_BYTES_MAX} bytes")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}: {path[:200]!a} holds no text in UTF-8") from None
    if not secret or not secret.isprintable():
        raise ConfigurationError(f"{variable}: {path[:200]!a} holds {'no printable text' if secret else 'nothing'}")
    return secret
