"""What is installed here, found out by a process that imports it: broken, endless and contradicting plug-ins."""

import os
import textwrap
from pathlib import Path

import pytest

from hotswap_events.inference.fleet import FleetPlugin
from hotswap_stream import bootstrap
from hotswap_stream.adapters.plugins.probe import probe, probe_plugins
from hotswap_stream.application.plugins.names import PluginConflictError
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that child processes import from."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    return tmp_path


def module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    return name


async def test_what_does_not_import_is_shown_beside_what_does(folder: Path) -> None:
    good = module(folder, "good_one", "from hotswap_stream.plugins import runtime\n@runtime('good')\nclass A: ...\n")
    broken = module(folder, "broken_one", "print('noise')\nimport nowhere_at_all\n")
    exits = module(folder, "exiting_one", "raise SystemExit(0)\n")
    found = {plugin.name: plugin for plugin in await probe_plugins([broken, good, exits])}
    assert found["good"] == FleetPlugin(kind="runtime", name="good")
    assert found["broken_one"].kind == "module"
    assert found["broken_one"].error == "ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert found["exiting_one"].error == "SystemExit: 0"


async def test_parameters_of_trainers_are_shown_with_their_defaults(folder: Path) -> None:
    text = """
        import msgspec
        from hotswap_stream.plugins import trainer

        class Parameters(msgspec.Struct):
            rows: int
            depth: int = 4
            words: list[str] = []

        @trainer("trees", Parameters)
        def train(job, parameters): ...
    """
    found = await probe([module(folder, "training_one", textwrap.dedent(text))])
    assert found.plugins == (FleetPlugin(kind="trainer", name="trees"),)
    assert found.trainer_parameters == {"trees": ("rows", "depth=4", "words=[]")}


@pytest.mark.parametrize(
    ("text", "says"),
    [("import os\nos.abort()\n", "ended with exit code -6"), ("while True: pass\n", "took more than 5 s")],
)
async def test_what_ends_or_does_not_end_the_process_is_shown(folder: Path, text: str, says: str) -> None:
    (found,) = await probe_plugins([module(folder, "bad_one", text)], seconds_max=5)
    assert (found.kind, found.name) == ("module", "bad_one")
    assert says in (found.error or "")


async def test_a_worker_does_not_start_with_two_plugins_of_one_name(folder: Path, tmp_path: Path) -> None:
    text = "from hotswap_stream.plugins import runtime\n@runtime('same')\nclass A: ...\n"
    names = [module(folder, name, text) for name in ("first_one", "second_one")]
    with pytest.raises(PluginConflictError, match="'same' is registered twice: by first_one and by second_one"):
        await bootstrap.plugins_here(Settings(home=tmp_path, plugin_modules=",".join(names)))


async def test_a_module_that_takes_a_built_in_name_is_told_so_without_torch(folder: Path) -> None:
    text = "from hotswap_stream.plugins import architecture\n@architecture('linear', None)\ndef build(): ...\n"
    with pytest.raises(PluginConflictError, match="'linear' is registered twice: by hotswap-stream itself and by"):
        await probe_plugins([module(folder, "taking_one", text)])


@pytest.mark.parametrize(
    "changes",
    [
        {"plugin_modules": "a/b"},
        {"runtime_seconds_max": 0.0},
        {"runtime_seconds_max": 1e9},
        {"runtime_load_seconds_max": 0.0},
        {"runtime_memory_bytes_max": -1},
        {"runtime_cpu_seconds_max": -1},
    ],
)
async def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_"):
        await bootstrap.plugins_here(Settings(home=tmp_path, **changes))  # type: ignore[arg-type]


async def test_without_plugins_no_process_is_started(tmp_path: Path) -> None:
    assert await bootstrap.plugins_here(Settings(home=tmp_path)) == ()
