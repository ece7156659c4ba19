"""Settings of the API and of its callers. Part of `Settings`."""

from typing import Literal

from hotswap_stream.kafka_settings import KafkaSettings


class ApiSettings(KafkaSettings, frozen=True, kw_only=True):
    """Where it listens, who may ask, and how much. Structs have one base each, so Kafka's settings are this one's."""

    api_host: str = "127.0.0.1"
    """Where the API listens. Without a key only health and metrics answer there, unless `API_OPEN` says otherwise."""
    api_port: int = 8000
    api_processes: int = 1
    """Processes of the API, which share its port and are started again when they die; at most 64, and on Linux alone
    more than one. Limits on connections, requests in flight and requests a second are of each."""
    api_keys: str | None = None
    """`name:key,name:key`: keys beside those of `hotswap-stream keys`. They may do all; the name is the actor."""
    api_open: Literal["loopback", "anybody"] | None = None
    """Who needs no key over HTTP and may do everything. `loopback`: callers of the same machine, to try things out.
    `anybody`: only where something else keeps others out, such as a proxy that asks for passwords. Unset: nobody."""
    api_insecure_no_keys: bool = False
    """What `API_OPEN=anybody` was called; it still means that, where `API_OPEN` says nothing."""
    api_allowed_hosts: str | None = None
    """`name,name`: names of the API beside `localhost`, its host and its machine's name, such as that of a Kubernetes
    service; `*.name` for all that end so, `*` for any. Requests by another name are refused, for they may be those of a
    page whose name was made to point here. IP addresses are always allowed."""
    api_connections_max: int = 800
    """Connections to the API at once; those that wait for a request make room for new ones."""
    api_connections_per_address_max: int = 400
    """Connections to the API from one address; behind a proxy, which has one address, as many as `API_CONNECTIONS_MAX`
    are right."""
    api_request_bytes_max: int = 1024**2
    api_event_stream_clients_max: int = 64
    """Clients that follow the event stream at once. When all places are taken, whoever has most gives one up."""
    api_infer_bytes_max: int = 4 * 1024**2
    """Bytes of the body of a request to a model over HTTP."""
    api_infer_in_flight_max: int = 256
    """Requests to models over HTTP at once; more are refused with 503 and Retry-After."""
    api_infer_timeout_ms: int = 10_000
    """How long an answer over HTTP may take before it is refused with 504."""
    api_infer_wait_ms_max: int = 5_000
    """A request over HTTP that would likely wait longer, by the workers' lag, is refused with 503 and Retry-After."""
    api_infer_in_flight_per_key_max: int = 128
    """Requests to models at once with one API key; more are refused with 429. Those without a key share one limit."""
    api_requests_per_second_per_key_max: float = 0.0
    """Requests of any kind a second with one API key, and as many at once; more are refused with 429. 0: no limit."""
    api_url: str | None = None
    """The API that `hotswap-stream publish` sends to, such as `https://models.example:8000`. Unset: it writes to the
    store and the log of the environment itself."""
    api_key: str | None = None
    """What commands, and the Python clients, that ask the API show as their key."""
    api_tls_certificate_file: str | None = None
    """The API's certificate, as PEM, with those it is signed by: then it speaks HTTPS, TLS 1.2 or newer, and nothing
    else. Renewed files are taken within seconds, without a restart."""
    api_tls_key_file: str | None = None
    """The private key of that certificate."""
    api_tls_key_password: str | None = None
    """What that key is encrypted with, if it is."""
    api_ca_file: str | None = None
    """Certificates, as PEM, that the API's must be signed by, for commands and Python clients. Unset: the system's."""


API_SECRETS = frozenset({"api_keys", "api_key", "api_tls_key_password"})
