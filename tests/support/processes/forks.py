"""Processes of the product that tests start, forked from one that has imported already what they need.

A worker imports for two seconds before its first line runs, a command for one, and a run of the tests starts hundreds.
`python -c "from tests.support.processes.forks import …"` is such a process: it imports, starts no thread, computes
nothing, and forks when asked. What it forks is a child of who asked, not of it: the same process id to wait for and
to kill, the same group, session, environment, folder, files, arguments and exit code as of a process started by `exec`.

Nothing here changes what the child runs: the module is run as `python -m` runs it.
"""

import ctypes
import gc
import json
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module, invalidate_caches
from typing import Any, NamedTuple

LIGHT = (
    "httpx",
    "numpy",
    "onnx",
    "confluent_kafka",
    "datasketches",
    "obstore",
    "hotswap_stream.cli.app",
    "hotswap_stream.bootstrap.agents",
    "hotswap_stream.bootstrap.api",
    "hotswap_stream.bootstrap.clients",
    "hotswap_stream.bootstrap.data",
    "hotswap_stream.bootstrap.mlflow.exporting",
    "hotswap_stream.bootstrap.mlflow.registering",
    "hotswap_stream.bootstrap.monitoring.doctor",
    "hotswap_stream.bootstrap.monitoring.over_http",
    "hotswap_stream.bootstrap.reproduction",
    "hotswap_stream.bootstrap.training.processes",
    "hotswap_stream.bootstrap.training.reported",
    "hotswap_stream.bootstrap.training.runners",
    "hotswap_stream.bootstrap.uploads",
    "hotswap_stream.bootstrap.webhooks",
    "hotswap_stream.bootstrap.workers",
    "hotswap_stream.adapters.onnx.trial_process",
    "hotswap_stream.adapters.onnx.graph",
    "hotswap_stream.adapters.kafka.registry_log",
    "hotswap_stream.agents.run",
    "hotswap_stream.api.app",
    "hotswap_stream.workers.inference.worker",
)
"""What processes of every kind may import. Nothing that starts a thread, as onnxruntime does."""

HEAVY = (*LIGHT, "hotswap_stream.adapters.torch.executors.loader")

_CLONE_PARENT = 0x8000
_CLONE_CHILD_SETTID = 0x01000000
_CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220}
_PR_SET_PDEATHSIG = 1
_LENGTH_BYTES = 8
_THREAD_BYTES = 2048


class Start(NamedTuple):
    """What a process is to be."""

    options: list[str]
    """The interpreter's own, as this one has them."""
    arguments: list[str]
    """What follows them: `-m MODULE …` or `-c CODE …`."""
    environment: dict[str, str]
    folder: str
    new_session: bool
    group: int
    tied_to: int | None
    """The process whose end ends it."""


def can_fork() -> bool:
    """Tell whether this system can make a child for another process."""
    return sys.platform == "linux" and platform.machine() in _CLONE_NUMBERS


def send(control: socket.socket, start: Start, descriptors: list[int]) -> int:
    """Ask for a process; return its id. ConnectionError when nobody is there."""
    message = json.dumps(start).encode()
    socket.send_fds(control, [len(message).to_bytes(_LENGTH_BYTES, "big")], descriptors)
    control.sendall(message)
    return int.from_bytes(_exactly(control, _LENGTH_BYTES), "big")


def serve(control_descriptor: int, heavy: bool) -> Callable[[], object]:
    """Fork whenever asked, and end when nobody asks any more. Return what is to be run, in each fork alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_descriptor)
    own = _own_paths(os.environ)
    installed = [path for path in sys.path if path and path not in own]
    for name in HEAVY if heavy else LIGHT:
        import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a fork has only the thread that forks"
    # What is collected never is not copied for each fork either.
    gc.collect()
    gc.freeze()
    while True:
        try:
            head, descriptors, _flags, _address = socket.recv_fds(control, _LENGTH_BYTES, 3)
            if not head:
                os._exit(0)
            head += _exactly(control, _LENGTH_BYTES - len(head))
            start = Start(*json.loads(_exactly(control, int.from_bytes(head, "big"))))
        except ConnectionError:
            os._exit(0)
        if _fork_for_parent() == 0:
            signal.signal(signal.SIGINT, before)
            return _become(start, descriptors, control, installed)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(start: Start, descriptors: list[int], control: socket.socket, installed: list[str]) -> Callable[[], object]:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    for descriptor in descriptors:
        os.close(descriptor)
    if start.new_session:
        os.setsid()
    elif start.group >= 0:
        os.setpgid(0, start.group)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    if start.tied_to is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    control.sendall(os.getpid().to_bytes(_LENGTH_BYTES, "big"))
    control.close()
    option, program, *arguments = start.arguments
    sys.path[:] = [start.folder if option == "-m" else "", *_own_paths(start.environment), *installed]
    sys.argv[:] = [option, *arguments]
    sys.orig_argv[:] = [sys.executable, *start.options, *start.arguments]
    invalidate_caches()
    if option == "-m":
        import runpy

        run: Any = getattr(runpy, "_run_module_as_main")  # noqa: B009 - what `-m` itself calls
        return lambda: run(program)
    code = compile(program, "<string>", "exec")
    return lambda: exec(code, sys.modules["__main__"].__dict__)  # noqa: S102 - what `-c` does


def _own_paths(environment: Mapping[str, str]) -> list[str]:
    return [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]


def _exactly(control: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = control.recv(count - len(found))
        if not more:
            raise ConnectionError("the process that forks is gone")
        found += more
    return found


def _fork_for_parent() -> int:
    """Fork; the child is one of this process's parent. Return 0 in the child."""
    api, libc = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)
    number = _CLONE_NUMBERS[platform.machine()]
    thread_id = _thread_id_address()
    flags = _CLONE_PARENT | signal.SIGCHLD | (_CLONE_CHILD_SETTID if thread_id else 0)
    # x86-64 takes the address of the child's id fourth, arm64 fifth.
    places = (0, 0, thread_id, 0) if platform.machine() == "x86_64" else (0, 0, 0, thread_id)
    api.PyOS_BeforeFork()
    pid: int = libc.syscall(number, ctypes.c_ulong(flags), *(ctypes.c_void_p(place) for place in places))
    if pid == 0:
        api.PyOS_AfterFork_Child()
        return 0
    api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return pid


def _thread_id_address() -> int:
    """Return where the C library keeps this thread's id, which its own `fork` would set; 0 if that is not plain."""
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    begin: int = libc.pthread_self()
    words = (ctypes.c_int * (_THREAD_BYTES // 4)).from_address(begin)
    places = [place for place, word in enumerate(words) if word == threading.get_native_id()]
    return begin + 4 * places[0] if len(places) == 1 else 0
