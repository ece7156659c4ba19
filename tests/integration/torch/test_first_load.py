"""The first version that a process loads brings in no more of torch than it needs."""

import subprocess
import sys

from tests.support.processes.commands import environment_with

LOAD = """
import sys
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module

arguments = {"users": 5, "items": 3, "dimensions": 2}
manifest = manifest_of("recommender", arguments)
content = save_module(build_module("recommender", arguments), manifest)
before = set(sys.modules)
module = load_module(manifest, content)
assert not any(parameter.is_meta for parameter in module.parameters())
print(len(set(sys.modules) - before), "sympy" in sys.modules)
"""


def test_tables_without_memory_are_not_filled_with_random_numbers() -> None:
    """Torch would import hundreds of modules for that, with Python's lock held while others are to answer."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment_with({}), capture_output=True, text=True, check=True, timeout=120
    )
    modules, algebra = done.stdout.split()
    assert algebra == "False"
    assert int(modules) < 50
