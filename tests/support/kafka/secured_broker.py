"""A broker that lets in whom it knows only: by password, by certificate, by token; and with access rules.

It is a real Kafka with the authorizer on and three listeners: one in clear, whose clients may do everything (the nodes
themselves, and whoever prepares a test), one with SASL over TLS, and one that asks for a certificate.
"""

import base64
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.broker.ports import pick_free_ports

ASK_SECONDS_MAX = 60.0
START_SECONDS_MAX = 180.0
PASSWORD = "right-password-of-{}"  # noqa: S105
KEY_PASSWORD = "opens-the-key"  # noqa: S105
_LIFE = timedelta(days=2)


class Authority:
    """Signs certificates; its own is in `file`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            _certificate(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, key_password: str | None = None) -> tuple[Path, Path]:
        """The files of a certificate and of its key. It stands for this machine, too."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        certificate = (
            _certificate(subject, self._name, key).add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        )
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if key_password is not None:
            encryption = serialization.BestAvailableEncryption(key_password.encode())
        certificate_file, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return certificate_file, key_file


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )


class SecuredBroker:
    """`root` is the address for whoever prepares a test; clients use the environments below."""

    def __init__(
        self, broker: EmbeddedKafka, folder: Path, authority: Authority, sasl_port: int, tls_port: int
    ) -> None:
        self.root = broker.bootstrap_servers
        self.admin = AdminClient({"bootstrap.servers": self.root, "log_level": 2})
        self.authority = authority
        self.sasl = f"localhost:{sasl_port}"
        self.tls = f"localhost:{tls_port}"
        self._folder = folder

    def add_users(self, names: Iterable[str]) -> None:
        """Users with passwords, for SCRAM-SHA-512."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
        wanted: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, info, PASSWORD.format(name).encode()) for name in names
        ]
        for future in self.admin.alter_user_scram_credentials(wanted).values():
            future.result(ASK_SECONDS_MAX)

    def by_password(self, name: str) -> dict[str, str]:
        """Settings of a process that is this user."""
        return {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": self.sasl,
            "HOTSWAP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "HOTSWAP_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "HOTSWAP_KAFKA_SASL_USERNAME": name,
            "HOTSWAP_KAFKA_SASL_PASSWORD": PASSWORD.format(name),
            "HOTSWAP_KAFKA_SSL_CA_FILE": str(self.authority.file),
        }

    def by_certificate(self, name: str) -> dict[str, str]:
        """Settings of a process that is known by its certificate, with an encrypted key and its password in a file."""
        certificate, key = self.authority.issue(name, key_password=KEY_PASSWORD)
        password = self._folder / f"{name}.password"
        password.write_text(f"{KEY_PASSWORD}\n")
        return {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": self.tls,
            "HOTSWAP_KAFKA_SECURITY_PROTOCOL": "SSL",
            "HOTSWAP_KAFKA_SSL_CA_FILE": str(self.authority.file),
            "HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE": str(certificate),
            "HOTSWAP_KAFKA_SSL_KEY_FILE": str(key),
            "HOTSWAP_KAFKA_SSL_KEY_PASSWORD_FILE": str(password),
        }

    def by_token(self, name: str, server: "TokenServer") -> dict[str, str]:
        """Settings of a process that is who the server of tokens says."""
        return {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": self.sasl,
            "HOTSWAP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "HOTSWAP_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "HOTSWAP_KAFKA_SSL_CA_FILE": str(self.authority.file),
            "HOTSWAP_KAFKA_OAUTH_TOKEN_URL": server.url,
            "HOTSWAP_KAFKA_OAUTH_CLIENT_ID": name,
            "HOTSWAP_KAFKA_OAUTH_CLIENT_SECRET": PASSWORD.format(name),
        }


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Run one, with its certificates and its data in the folder. Blocking: it wants no event loop in this thread."""
    import asyncio

    sasl_port, tls_port = pick_free_ports(2)
    authority = Authority(folder, "authority")
    certificate, key = authority.issue("broker")
    store = folder / "broker-store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    jaas, security = "sasl.jaas.config", "org.apache.kafka.common.security"
    broker = EmbeddedKafka(
        data_dir=folder / "kafka",
        start_timeout_s=START_SECONDS_MAX,
        kafka_options={
            "listeners": f"SECURE://127.0.0.1:{sasl_port},MUTUAL://127.0.0.1:{tls_port}",
            "advertised.listeners": f"SECURE://localhost:{sasl_port},MUTUAL://localhost:{tls_port}",
            "listener.security.protocol.map": "SECURE:SASL_SSL,MUTUAL:SSL",
            "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            f"listener.name.secure.scram-sha-512.{jaas}": f"{security}.scram.ScramLoginModule required;",
            # Tokens that nobody signed: what is tried is that ours are asked for, shown and renewed.
            f"listener.name.secure.oauthbearer.{jaas}": (
                f'{security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
            ),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
    )
    asyncio.run(broker.start())
    try:
        yield SecuredBroker(broker, folder, authority, sasl_port, tls_port)
    finally:
        asyncio.run(broker.stop())


class TokenServer:
    """A server of tokens as OAuth 2.0 has it, for clients whose secret is `PASSWORD` of their name."""

    def __init__(self, *, life_seconds: int) -> None:
        self.handed_out: list[str] = []
        """Whom a token was given to, in order."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
                name, _, secret = base64.b64decode(credentials).decode().partition(":")
                right = scheme == "Basic" and secret == PASSWORD.format(name)
                if right and form["grant_type"] == ["client_credentials"]:
                    server.handed_out.append(name)
                    token = unsigned_token(name, life_seconds)
                    self._answer(200, {"access_token": token, "token_type": "bearer", "expires_in": life_seconds})
                else:
                    self._answer(401, {"error": "invalid_client"})

            def _answer(self, status: int, content: dict[str, object]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def unsigned_token(name: str, life_seconds: int) -> str:
    """A token by which a broker that asks for no signature knows its bearer."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": name, "iat": now, "exp": now + life_seconds})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
