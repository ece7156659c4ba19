"""What every part stands on: the cluster, the names of the topics, and what this machine remembers of the log."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.topics import Topics
from hotswap_stream.application.log.identity import SeenLog
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.home import broker_announcement as announcement
from hotswap_stream.home.broker_condition import ConditionWatch
from hotswap_stream.home.log_memory import HomeLogMemory
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.security.tls import TlsFiles
from hotswap_stream.kafka.security.tokens import TokenEndpoint, TokenFile, TokenSource
from hotswap_stream.settings import ANSWERS_KEY_CHARACTERS_MIN, ANSWERS_KEYS_MAX, PREFIX, Settings


def topics(settings: Settings) -> Topics:
    """Return the topics of this environment. ConfigurationError if the prefix is not valid."""
    try:
        return Topics(settings.topic_prefix)
    except ValueError as error:
        raise ConfigurationError(f"HOTSWAP_TOPIC_PREFIX: {error}") from error


def answer_tags(settings: Settings) -> AnswerTags:
    """Return what tells answers of this environment's workers from other records. ConfigurationError."""
    return AnswerTags(settings.topic_prefix, parse_answer_keys(settings.answers_key))


def connection(settings: Settings) -> KafkaConnection:
    """Return how to reach the configured cluster, or the embedded broker that runs in this home.

    Raises:
        ConfigurationError: There is neither.
    """
    servers = settings.kafka_bootstrap_servers
    if servers is None:
        broker = running_broker(settings)
        if broker is None:
            raise ConfigurationError(
                "no Kafka to connect to: run `hotswap-stream up` (or `hotswap-stream broker`) in this folder first, "
                "or set HOTSWAP_KAFKA_BOOTSTRAP_SERVERS to your cluster"
            )
        return KafkaConnection(bootstrap_servers=broker.bootstrap_servers)
    return KafkaConnection(
        bootstrap_servers=servers,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=settings.kafka_sasl_password,
        tokens=_tokens(settings) if settings.kafka_sasl_mechanism == "OAUTHBEARER" else None,
        tls=TlsFiles(
            ca_file=settings.kafka_ssl_ca_file,
            certificate_file=settings.kafka_ssl_certificate_file,
            key_file=settings.kafka_ssl_key_file,
            key_password=settings.kafka_ssl_key_password,
        ),
    )


def _tokens(settings: Settings) -> TokenSource | None:
    """Return where tokens come from; None where no setting says. ConfigurationError."""
    if settings.kafka_oauth_token_file is not None:
        if settings.kafka_oauth_token_url is not None:
            raise ConfigurationError(
                "HOTSWAP_KAFKA_OAUTH_TOKEN_FILE and HOTSWAP_KAFKA_OAUTH_TOKEN_URL exclude each other: unset one"
            )
        return TokenFile(settings.kafka_oauth_token_file)
    url, client_id, secret = (
        settings.kafka_oauth_token_url,
        settings.kafka_oauth_client_id,
        settings.kafka_oauth_client_secret,
    )
    if not url or not client_id or not secret:
        return None
    return _token_endpoint(url, client_id, secret, settings.kafka_oauth_scope, settings.kafka_oauth_ca_file)


@lru_cache(maxsize=8)
def _token_endpoint(url: str, client_id: str, secret: str, scope: str | None, ca_file: str | None) -> TokenEndpoint:
    """Return the one that all connections of this process share, so that they share its token, too."""
    return TokenEndpoint(url, client_id, secret, scope, ca_file)


def announce_broker(settings: Settings, bootstrap_servers: str, data_dir: Path | None = None) -> None:
    """Let other commands with the same home find the embedded broker of this process.

    Args:
        settings: Name the home.
        bootstrap_servers: `host:port` of each node, separated by commas.
        data_dir: Where its data stays; None: the data goes with the process.
    """
    announcement.announce(settings.home, bootstrap_servers, data_dir)


def withdraw_broker(settings: Settings) -> None:
    """Take back what `announce_broker` said."""
    announcement.withdraw(settings.home)


def running_broker(settings: Settings) -> announcement.RunningBroker | None:
    """Return the embedded broker of this home, if the process that announced it still runs; else None."""
    return announcement.find(settings.home)


def broker_condition(settings: Settings) -> ConditionWatch:
    """Return what says how the embedded broker of this home is, if that is the one in use."""
    return ConditionWatch(settings.home, connection(settings).bootstrap_servers)


def log_memory(settings: Settings) -> HomeLogMemory[SeenLog] | None:
    """Return what this machine remembers of this environment's log; None where the log goes with its broker."""
    servers, broker = settings.kafka_bootstrap_servers, running_broker(settings)
    if broker is not None and servers in (None, broker.bootstrap_servers):
        if broker.data_dir is None:
            return None
        cluster = f"embedded {broker.data_dir}"
    elif servers is None:
        cluster = f"embedded {(settings.home / 'kafka').absolute()}"
    else:
        cluster = ",".join(sorted(server.strip() for server in servers.split(",")))
    return HomeLogMemory(settings.home, SeenLog, prefix=topics(settings).prefix, cluster=cluster)


def open_to(settings: Settings) -> Literal["loopback", "anybody"] | None:
    """Return who needs no key over HTTP."""
    return settings.api_open or ("anybody" if settings.api_insecure_no_keys else None)


def parse_answer_keys(text: str | None) -> list[str]:
    """Return the keys of `HOTSWAP_ANSWERS_KEY`. ConfigurationError, which shows no key, if they do not fit."""
    keys = (text or "").split()
    if any(len(key) < ANSWERS_KEY_CHARACTERS_MIN for key in keys):
        raise ConfigurationError(
            f"{PREFIX}ANSWERS_KEY: a key has at least {ANSWERS_KEY_CHARACTERS_MIN} characters; several are "
            "separated by spaces"
        )
    if len(keys) > ANSWERS_KEYS_MAX:
        raise ConfigurationError(f"{PREFIX}ANSWERS_KEY: {len(keys)} keys; at most {ANSWERS_KEYS_MAX} at a time")
    return keys
