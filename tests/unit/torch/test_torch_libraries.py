"""Torch's largest library is loaded ahead where it is, and what is not there is left to `import torch`."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from hotswap_stream.adapters.torch.modules import libraries


@pytest.mark.skipif(sys.platform != "linux", reason="only there the library has this name")
def test_the_library_of_torch_is_found() -> None:
    assert libraries.load_largest_library()


@pytest.mark.parametrize("there", ["nothing", "a-package", "a-package-with-a-damaged-library"])
def test_what_is_not_there_is_not_loaded(tmp_path: Path, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("torch", None, origin=str(tmp_path / "__init__.py"))
    if there.endswith("library"):
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib" / libraries.LIBRARY).write_bytes(b"not a library")
    monkeypatch.setattr(libraries, "find_spec", lambda _name: None if there == "nothing" else spec)
    assert not libraries.load_largest_library()
