"""TLS of the API: a certificate and a key from files, taken anew when they are renewed."""

import os
import ssl

import structlog
from msgspec import Struct

from hotswap_stream.errors import ConfigurationError

_log = structlog.get_logger(__name__)


class TlsFiles(Struct, frozen=True, kw_only=True):
    """A certificate with its chain, and its key, as PEM. `repr` leaves the password out."""

    certificate_file: str
    key_file: str
    key_password: str | None = None

    def __repr__(self) -> str:
        return f"TlsFiles({self.certificate_file!r}, {self.key_file!r})"


class ServerTls:
    """The context of all connections to come; those that are open keep what they began with."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. ConfigurationError if they cannot be used."""
        self._files = files
        self._seen = self._look()
        self.context = self._loaded()

    def renew(self) -> None:
        """Take the files anew if they are others than before. What cannot be used is said once, and the former stay."""
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._loaded()  # both belong together, before the context that is in use is touched
            self._load_into(self.context)
        except (ConfigurationError, OSError, ValueError) as error:
            _log.error("api_certificate_not_renewed", cause=str(error))
            return
        _log.info("api_certificate_renewed", file=self._files.certificate_file)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            self._load_into(context)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"HOTSWAP_API_TLS_CERTIFICATE_FILE {self._files.certificate_file!r} and HOTSWAP_API_TLS_KEY_FILE "
                f"{self._files.key_file!r} cannot be used: {error}; are they PEM, do they belong together, and is "
                "HOTSWAP_API_TLS_KEY_PASSWORD right?"
            ) from error
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(
            self._files.certificate_file, self._files.key_file, password=self._files.key_password or ""
        )

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_facts(file) for file in (self._files.certificate_file, self._files.key_file))


def _facts(file: str) -> tuple[int, int, int] | None:
    """Return what changes with a file's content, also where a link is set to another one."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
