"""The jars of the pinned Kafka release, each with its SHA-256: what is run is what was tested, and nothing else.

The list is resolved by a maintainer (`python -m hotswap_stream.broker.jars.lock`), not by each user: that saves the
dependency resolution at the first start and notices a jar that was changed on the way.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

KAFKA_RELEASE = "4.3.1"

_LOCK_FILE = Path(__file__).with_name("kafka_jars.json")
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_RELEASE}"
# Logs go through java.util.logging, which needs no jar of its own: log4j-core costs 0.1 s of each start. The slf4j
# API of the 1.7 line is compiled to a class format the AOT cache cannot hold, and with it much that refers to it.
_LEFT_OUT = {"log4j-core", "slf4j-api"}
_ADDED = ("org.slf4j:slf4j-api:2.0.17", "org.slf4j:slf4j-jdk14:2.0.17")


class LockedJar(Struct, frozen=True):
    """One jar by its Maven coordinates, with its size in bytes and its SHA-256 in hex."""

    group: str
    artifact: str
    release: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name of the jar's file."""
        return f"{self.artifact}-{self.release}.jar"


def load_jar_lock() -> tuple[LockedJar, ...]:
    """Return the pinned jars in class path order."""
    return msgspec.json.decode(_LOCK_FILE.read_bytes(), type=tuple[LockedJar, ...])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_jar_lock(repository_cache: Path) -> tuple[LockedJar, ...]:
    """Resolve Kafka's dependencies through jgo (network), download them, and describe each jar.

    Args:
        repository_cache: Folder that the jars are downloaded into.
    """
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(resolver=PythonResolver(), repo_cache=repository_cache)
    inputs, transitive = context.resolver.resolve([context.create_dependency(_KAFKA)])
    dependencies: list[Any] = [*inputs, *(found for found in transitive if found.scope in ("compile", "runtime"))]
    artifacts = [found.artifact for found in dependencies if found.artifact.artifactId not in _LEFT_OUT]
    artifacts += [context.create_dependency(coordinate).artifact for coordinate in _ADDED]
    return tuple(
        LockedJar(
            group=artifact.groupId,
            artifact=artifact.artifactId,
            release=artifact.version,
            size=(path := artifact.resolve()).stat().st_size,
            sha256=sha256_of(path),
        )
        for artifact in sorted(artifacts, key=lambda artifact: (artifact.artifactId, artifact.version))
    )


def write_jar_lock(jars: tuple[LockedJar, ...]) -> None:
    """Write the list that `load_jar_lock` reads."""
    _LOCK_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(jars), indent=1) + b"\n")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_jar_lock(resolve_jar_lock(Path(folder)))
