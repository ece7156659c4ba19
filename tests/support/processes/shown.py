"""A process that shows what it is, as one JSON line, and ends with the code that it is given."""

import json
import os
import signal
import sys
import threading
import warnings


def main() -> int:
    """Print, wait for the end of the input, and return the code."""
    json.dump(
        {
            "name": __name__,
            "file": __file__,
            "argv": sys.argv,
            "orig_argv": sys.orig_argv[1:],
            "path": sys.path,
            "warned": sys.warnoptions,
            "warnings_are_errors": ("error", None, Warning, None, 0) in warnings.filters,
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "parent": os.getppid(),
            "group": "own" if os.getpgid(0) == os.getpid() else os.getpgid(0),
            "session": "own" if os.getsid(0) == os.getpid() else os.getsid(0),
            "descriptors": [name for name in range(3, 64) if _is_open(name)],
            "threads": threading.active_count(),
            "main": threading.current_thread() is threading.main_thread(),
            "interrupted": str(signal.getsignal(signal.SIGINT)),
            "pipes": str(signal.getsignal(signal.SIGPIPE)),
            "terminated": str(signal.getsignal(signal.SIGTERM)),
            "encoding": [sys.stdin.encoding, sys.stdout.encoding, sys.stderr.encoding],
            "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering],
        },
        sys.stdout,
    )
    sys.stdout.write("\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stderr.write("ended")
    return int(sys.argv[1])


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
