"""A process whose disk is full harms nobody but itself."""

import asyncio
from pathlib import Path

from tests.support.processes.commands import environment_with
from tests.torture.full_disk import run_with_full_disk


def test_it_leaves_no_half_of_a_module_to_others(tmp_path: Path) -> None:
    module = tmp_path / "of_some_length.py"
    module.write_text(f"TEXT = {'x' * 10_000!r}\n")
    environment = environment_with({"PYTHONDONTWRITEBYTECODE": ""}) | {"PYTHONPATH": str(tmp_path)}
    write = f"import of_some_length; open({str(tmp_path / 'beside')!r}, 'w').write(of_some_length.TEXT)"
    code, said = asyncio.run(run_with_full_disk(["-c", write], environment, 100))
    assert (code, "File too large" in said) == (1, True), said
    assert list(tmp_path.rglob("*.pyc")) == []
