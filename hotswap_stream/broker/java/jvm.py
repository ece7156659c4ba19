"""How a JVM is started: which runtime, which jars, which flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hotswap_stream.broker.java.runtime import JavaRuntime

KAFKA_MAIN = "kafka.Kafka"
STORAGE_TOOL_MAIN = "kafka.tools.StorageTool"

# Measured on two cores. C1 alone: start 0.9 s instead of 1.6, and in the first 12,000 sends a third of the CPU time
# and a p99 of 0.8 ms instead of 7, because C2 compiles for minutes beside the broker; less memory as well.
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


@dataclass(frozen=True, slots=True)
class JvmPlan:
    """What every JVM of a cluster has in common. `options` come after our flags, so they win."""

    runtime: JavaRuntime
    class_path: tuple[Path, ...]
    heap_mib_max: int
    options: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the flags that shape a start cache: all but the heap's size and the paths of one node."""
        return (*_FLAGS, *self.options)

    def command(self, main: str, arguments: Sequence[str], extra: Sequence[str] = ()) -> list[str]:
        """Return the command line that runs the class `main`."""
        class_path = ":".join(str(jar) for jar in self.class_path)
        heap = f"-Xmx{self.heap_mib_max}m"
        return [str(self.runtime.java), heap, *self.flags, *extra, "-cp", class_path, main, *arguments]
