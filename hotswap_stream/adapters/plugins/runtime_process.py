"""The process of one runtime: `python -m hotswap_stream.adapters.plugins.runtime_process SOCKET CONTENT`.

Both are descriptors that its owner left open: the connection to it, and the artifact. What the runtime does here, it
does to this process alone: its owner ends it when an answer takes too long, and goes on with another one.
"""

import mmap
import resource
import signal
import socket
import sys

from hotswap_stream.adapters.plugins.process_limits import limit_memory, limited_cpu
from hotswap_stream.adapters.plugins.wire import (
    ORDERS,
    REASON_CHARACTERS_MAX,
    CloseOrder,
    Done,
    InferOrder,
    LoadOrder,
    Refused,
    Reply,
    WireError,
    packed,
    receive,
    send,
    unpacked,
)
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.plugins.finding import find_plugin, name_modules
from hotswap_stream.application.plugins.names import MissingPluginError, PluginKey
from hotswap_stream.application.plugins.registered import Runtime
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner

CAUSED_BY_INPUTS = (IndexError, KeyError, ValueError, TypeError, ArithmeticError)


def main() -> int:
    """Serve one owner, until it is gone or says so."""
    connection, content_fd = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    claim_stdout().close()
    # A crash costs one answer, and not the seconds in which all of the memory is written to a file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C ends the owner, which answers what it has begun; until then this process is needed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_owner()
    # Mapped and not read: all processes of one version share these pages.
    content = memoryview(mmap.mmap(content_fd, 0, access=mmap.ACCESS_READ))
    runtime: Runtime | None = None
    cpu_seconds_max = 0
    try:
        while True:
            order = ORDERS.decode(receive(connection))
            if isinstance(order, CloseOrder):
                break
            if isinstance(order, LoadOrder):
                limit_memory(order.memory_bytes_max, len(content))
                cpu_seconds_max = order.pass_cpu_seconds_max
                runtime, reply = _load(order, content)
            else:
                with limited_cpu(cpu_seconds_max):
                    reply = _infer(runtime, order)
            send(connection, reply)
            if isinstance(reply, Refused) and reply.ended:
                return EXIT_ABORTED
    except (WireError, OSError):
        return 0  # the owner is gone, or wants no more
    if runtime is not None:
        runtime.close()
    return 0


def _load(order: LoadOrder, content: memoryview) -> tuple[Runtime | None, Reply]:
    name_modules(order.modules)
    try:
        found = find_plugin(PluginKey("runtime", order.runtime))
    except MissingPluginError as error:
        return None, Refused(error.why, missing=True)
    try:
        runtime: Runtime = found.build()
        runtime.load(files_of(content), order.arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the runtime's code is not ours
        return None, Refused(_text(error))
    return runtime, Done()


def _infer(runtime: Runtime | None, order: InferOrder) -> Reply:
    if runtime is None:
        return Refused("it was not loaded")
    try:
        outputs = runtime.infer({name: unpacked(array) for name, array in order.inputs.items()})
    except MemoryError as error:
        return Refused(f"{_text(error)}; it has as much memory as it may have", ended=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
        return Refused(_text(error), by_input=isinstance(error, CAUSED_BY_INPUTS))
    try:
        return Done({str(name): packed(str(name), array) for name, array in outputs.items()})
    except (AttributeError, TypeError, UnicodeError) as error:
        return Refused(f"what it returned cannot be answered: {error}"[:REASON_CHARACTERS_MAX])


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:REASON_CHARACTERS_MAX]


if __name__ == "__main__":
    sys.exit(main())
