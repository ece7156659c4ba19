"""TLS to the brokers: whom we trust, and who we are where they ask."""

import ssl
from typing import Any

from msgspec import Struct

from hotswap_stream.errors import ConfigurationError


class TlsFiles(Struct, frozen=True, kw_only=True):
    """Files of certificates and a key, as PEM. `repr` leaves the key's password out."""

    ca_file: str | None = None
    """None: what the system trusts."""
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = None

    def __repr__(self) -> str:
        return f"TlsFiles(ca_file={self.ca_file!r}, certificate_file={self.certificate_file!r})"


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for clients: TLS 1.2 or newer, certificates and names checked. ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"HOTSWAP_KAFKA_SSL_CA_FILE: the file of trusted authorities {files.ca_file!r} cannot be read: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate_file is None and files.key_file is None:
        return context
    if files.certificate_file is None or files.key_file is None:
        raise ConfigurationError(
            "HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE and HOTSWAP_KAFKA_SSL_KEY_FILE go together: set both, or none"
        )
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(files.certificate_file, files.key_file, password=files.key_password or "")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE {files.certificate_file!r} and HOTSWAP_KAFKA_SSL_KEY_FILE "
            f"{files.key_file!r} cannot be used: {error}; is it PEM, do they belong together, and is "
            "HOTSWAP_KAFKA_SSL_KEY_PASSWORD right?"
        ) from error
    return context


def librdkafka_tls(files: TlsFiles) -> dict[str, Any]:
    """Return the same for clients of librdkafka."""
    tls_context(files)  # so that what is wrong is said in our words
    trusted = files.ca_file or ssl.get_default_verify_paths().cafile
    named = {
        "ssl.ca.location": trusted,
        "ssl.certificate.location": files.certificate_file,
        "ssl.key.location": files.key_file,
        "ssl.key.password": files.key_password,
    }
    return {name: value for name, value in named.items() if value is not None}
