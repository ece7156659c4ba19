"""The largest of torch's own libraries, loaded while others go on: this one, with those that it needs.

`import torch` loads it, too, and nothing else in the process runs meanwhile, because Python's lock is held: for 0.3 s
on a machine that has nothing else to do, and for a second or two on one that has. Called as a function of C, the same
loading holds no lock.
"""

import ctypes
import os
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "libtorch.so"
"""It is small, and brings the largest: `libtorch_cpu.so` and, where torch is built with CUDA, `libtorch_cuda.so`."""


def load_largest_library() -> bool:
    """Load it, unless it is there. Blocking, for about a quarter of the time that importing torch takes.

    Returns:
        Whether it is loaded. Where it is not, as on other systems than Linux, or where torch is not installed, `import
        torch` does all that it would have done without this, or says what is wrong.
    """
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    path = Path(spec.origin).parent / "lib" / LIBRARY
    if not path.is_file():
        return False
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    return load(os.fsencode(path), os.RTLD_NOW | os.RTLD_LOCAL) is not None
