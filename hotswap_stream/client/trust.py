"""Whose certificate the API may have, for the clients of this process."""

import ssl
from contextvars import ContextVar

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import api_ca_file_here

trusted_ca: ContextVar[str | None] = ContextVar("trusted_ca", default=None)
"""The file that the command line's settings name; a context of it may name another than the environment."""


def trust(base_url: str, ca_file: str | None) -> ssl.SSLContext | bool:
    """Return what httpx's clients verify the API's certificate by: this file, or what the settings name.

    Without such a file and without TLS, nobody is trusted: to read all authorities takes longer than most questions.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    chosen = ca_file or trusted_ca.get() or api_ca_file_here()
    if chosen is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if base_url.lower().startswith("http://") else True
    try:
        return ssl.create_default_context(cafile=chosen)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"HOTSWAP_API_CA_FILE: the file of trusted authorities {chosen!r} cannot be read: {error}"
        ) from error
