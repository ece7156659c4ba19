"""What is there when a process has started is not looked through again; what comes after it is."""

import subprocess
import sys

CODE = """
import gc
from hotswap_stream.application.processes.lasting import lasting, let_last

class Circle:
    def __init__(self):
        self.itself = self

    def __del__(self):
        ended.append("circle")

class Plain:
    def __del__(self):
        ended.append("plain")

ended = []
with lasting():
    assert not gc.isenabled()
    circle, plain = Circle(), Plain()
assert gc.isenabled()
assert not any(each is plain or each is circle for each in gc.get_objects())
assert gc.get_freeze_count() > 1_000
del plain
assert ended == ["plain"], "the last reference frees what lasts, too"
later = Circle()
del later
gc.collect()
assert ended == ["plain", "circle"]
before, kept = gc.get_freeze_count(), [[] for _ in range(100)]
let_last()
assert gc.get_freeze_count() > before
gc.disable()
with lasting():
    pass
assert not gc.isenabled()
ended.append("all")
print(ended)
"""


def test_what_lasts_is_left_alone_and_everything_later_is_collected() -> None:
    # In a process of its own: what is frozen stays so for all tests after this one.
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['plain', 'circle', 'all']"
