"""Why no broker lets us in, in words that say what to do; and never a password in them.

aiokafka's clients try one server after the other, log what each said, and raise that there is none.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

ASK_SECONDS_MAX = 10.0
_PASSWORDS = "HOTSWAP_KAFKA_SASL_USERNAME and HOTSWAP_KAFKA_SASL_PASSWORD"


async def why_denied(hosts: Iterable[tuple[str, int, Any]], options: dict[str, Any]) -> KafkaError | None:
    """Return the error that says why these servers do not let us in; None if it is not for that.

    Args:
        hosts: Host, port and address family of each.
        options: Arguments of aiokafka's connections.
    """
    for host, port, _family in hosts:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                connection = await create_conn(host, port, **options)
        except (OSError, KafkaError, TimeoutError) as error:
            if (said := explained(error, f"{host}:{port}", options)) is not None:
                return said
        else:
            connection.close()
            return None
    return None


def token_not_accepted(server: str) -> KafkaError:
    """Return the error of a token that a server did not accept.

    aiokafka takes any answer to a token for a good one; then nothing it asks is answered as it should be.
    """
    return SaslAuthenticationFailed(
        f"{server} does not accept the token: the cluster must know its issuer, and it must be valid now"
    )


def explained(error: BaseException, server: str, options: dict[str, Any]) -> KafkaError | None:
    """Return an error of a connection in words that say what to do; None where it is about nobody's identity."""
    protocol, mechanism = options.get("security_protocol"), options.get("sasl_mechanism")
    if isinstance(error, ssl.SSLCertVerificationError):
        return KafkaConnectionError(
            f"the certificate of {server} does not hold: {error.verify_message}; HOTSWAP_KAFKA_SSL_CA_FILE must name "
            "the authority that signed it, and the name asked for must stand in it"
        )
    if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason or ""):
        return SaslAuthenticationFailed(
            f"{server} does not accept our certificate ({error.reason}); HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE must name "
            "one that the cluster trusts"
        )
    if isinstance(error, ssl.SSLError):
        return KafkaConnectionError(
            f"{server} does not speak TLS as we do ({error.reason or error}); is HOTSWAP_KAFKA_SECURITY_PROTOCOL "
            f"{protocol} right, and the port?"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return SaslAuthenticationFailed(
            f"{server} does not know {mechanism}; set HOTSWAP_KAFKA_SASL_MECHANISM to one that it knows"
        )
    if isinstance(error, SaslAuthenticationFailed | IllegalSaslStateError):
        what = "the token" if mechanism == "OAUTHBEARER" else f"{_PASSWORDS}, by {mechanism}"
        return SaslAuthenticationFailed(f"{server} does not accept {what}: {error}")
    if isinstance(error, KafkaConnectionError) and type(error) is not KafkaConnectionError:
        return error  # there is no token to show
    if isinstance(error, KafkaConnectionError | TimeoutError | ConnectionResetError | ConnectionAbortedError):
        return KafkaConnectionError(
            f"{server} ended the connection at its start; is HOTSWAP_KAFKA_SECURITY_PROTOCOL {protocol} right, and the "
            "port? A cluster that asks for a certificate does so, too, where none is shown that it trusts"
        )
    return None


def why_not(error: KafkaError, operation: str, topic: str) -> str:
    """Return in words why a topic could not be changed: which right is missing, and who has it, if it is that."""
    if not isinstance(error, TopicAuthorizationFailedError):
        return str(error)
    return (
        f"this client needs {operation} on {topic!r}, which the role 'administrator' has: "
        "`hotswap-stream acls --role administrator` prints the commands that give it"
    )
