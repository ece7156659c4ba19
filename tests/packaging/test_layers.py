"""The extras are layers: each part imports with its own dependencies installed, and no others.

Instead of an environment a layer, a fresh interpreter is told to find no distribution outside the layer's closure of
requirements, as computed from pyproject.toml and the metadata of what is installed here.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hotswap_stream import bootstrap
from tests.support.checkout import ROOT

OURS = ("hotswap_stream", "hotswap_events")

_IMPORT_WITHOUT = """
import importlib, json, sys

class NotInstalled:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (not in this layer)", name=name)

missing, paths, modules = json.loads(sys.argv[1])
sys.path[:0] = paths
sys.meta_path.insert(0, NotInstalled(frozenset(missing)))
for module in modules:
    importlib.import_module(module)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)))
"""


@cache
def _project() -> dict[str, list[str]]:
    """Extra → requirements; the base is the extra with the empty name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


@cache
def _modules_of() -> dict[str, set[str]]:
    """Top-level module → the canonical names of the distributions that bring it."""
    return {
        module: {canonicalize_name(name) for name in distributions}
        for module, distributions in packages_distributions().items()
    }


def _closure(requirements: Iterable[str]) -> set[str]:
    """Canonical names of all distributions that these requirements bring, as far as they are installed here."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "hotswap-stream":
            waiting.extend(Requirement(text) for extra in requirement.extras for text in _project()[extra])
            continue
        extras = {"", *requirement.extras}
        if extras <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(extras)
        try:
            depends = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        waiting.extend(
            needed
            for needed in depends
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        )
    return set(found)


def _import_in_layer(extras: Iterable[str], *modules: str) -> set[str]:
    """Top-level modules outside the standard library that a fresh interpreter holds after the imports."""
    layer = _closure(text for extra in ("", *extras) for text in _project()[extra])
    missing = [
        module for module, distributions in _modules_of().items() if module not in OURS and not layer & distributions
    ]
    paths = [str(ROOT), str(ROOT / "events")]
    ran = subprocess.run(
        [sys.executable, "-c", _IMPORT_WITHOUT, json.dumps([missing, paths, modules])],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def test_the_language_of_the_log_needs_msgspec_only() -> None:
    events = ROOT / "events"
    modules = [
        ".".join(path.relative_to(events).with_suffix("").parts)
        for path in (events / "hotswap_events").rglob("*.py")
        if path.stem != "__init__"
    ]
    assert "hotswap_events.registry.events" in modules
    with_msgspec_alone = _import_in_layer((), "msgspec")
    assert _import_in_layer((), "hotswap_events", *modules) - with_msgspec_alone == {"hotswap_events"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["hotswap_stream.client", "hotswap_stream.cli", "hotswap_stream.bootstrap"])
def test_the_base_install_is_enough_for_clients_and_the_command_line(module: str) -> None:
    parts = [f"{module}.{part}" for part in bootstrap.NAMES_OF] if module == bootstrap.__name__ else []
    loaded = _import_in_layer((), module, *parts)
    assert not loaded & {"torch", "faust", "mode", "litestar", "uvicorn", "obstore", "numpy", "sklearn", "jgo"}


def test_the_command_line_answers_in_the_base_install() -> None:
    loaded = _import_in_layer((), "hotswap_stream.cli")
    assert "aiokafka" not in loaded, "a Kafka client at the top of the command line costs every `--help`"


def test_sets_are_read_where_parquet_is_not() -> None:
    assert "pyarrow" not in _import_in_layer(
        ("worker",), "hotswap_stream.adapters.evaluation.process", "hotswap_stream.adapters.evaluation.set_files"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "package", "others"),
    [
        ("broker", "hotswap_stream.broker", {"torch", "faust", "litestar", "numpy"}),
        ("agents", "hotswap_stream.agents", {"torch", "litestar", "sklearn"}),
        ("agents", "hotswap_stream.adapters.http", {"torch", "faust", "aiokafka", "litestar", "numpy"}),
        ("api", "hotswap_stream.api", {"torch", "faust", "sklearn"}),
        ("worker", "hotswap_stream.workers", {"torch", "faust", "litestar", "sklearn"}),
        ("worker", "hotswap_stream.adapters.artifacts", {"torch", "faust", "litestar"}),
        ("worker", "hotswap_stream.adapters.models", {"torch", "safetensors", "faust", "litestar", "sklearn"}),
        ("worker", "hotswap_stream.adapters.onnx", {"torch", "safetensors", "onnxscript", "faust", "litestar"}),
        ("worker", "hotswap_stream.adapters.plugins", {"torch", "faust", "litestar", "sklearn", "aiokafka"}),
        ("torch", "hotswap_stream.adapters.torch.modules", {"faust", "litestar", "sklearn"}),
        ("torch", "hotswap_stream.adapters.torch.executors", {"faust", "litestar", "sklearn"}),
        ("train", "hotswap_stream.adapters.torch", {"faust", "litestar"}),
        (
            "publish",
            "hotswap_stream.client",
            {"torch", "faust", "litestar", "obstore", "xgboost", "lightgbm", "pandas"},
        ),
        ("parquet", "hotswap_stream.adapters.evaluation", {"torch", "faust", "litestar", "sklearn"}),
        ("mlflow", "hotswap_stream.adapters.mlflow", {"torch", "faust", "litestar", "mlflow", "xgboost", "pandas"}),
    ],
)
def test_each_part_needs_its_own_extra_only(extra: str, package: str, others: set[str]) -> None:
    folder = ROOT / package.replace(".", "/")
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
        if path.stem != "__main__"
    )
    assert modules
    assert not _import_in_layer((extra,), *modules) & others
