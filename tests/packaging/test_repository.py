"""What must never be in the repository, and rules about the code that no other tool checks."""

import ast
import json
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.support.checkout import ROOT, naming, nodes_of

MODULE_LINES_MAX = 350

# Written in two parts, so that this file does not hold them.
_REGISTRY_HOSTS = tuple(
    f"{name}.{end}"
    for name, end in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("maven.apache", "org"),
        ("repo1.maven", "org"),
        ("crates", "io"),
        ("proxy.golang", "org"),
        ("deb.debian", "org"),
        ("anaconda", "org"),
        ("download.pytorch", "org"),
    )
)
_LOCK_FILES = frozenset(
    {"poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "package-lock.json", "yarn.lock"}
    | {"pnpm-lock.yaml", "Cargo.lock", "go.sum"}
)
# npm has no constraints apart from it. `npm i --omit-lockfile-registry-resolved --ignore-scripts` leaves hosts out.
_LOCK_OF_THE_PAGE = ROOT / "page" / "package-lock.json"
_BINARIES = frozenset(
    {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".safetensors", ".onnx", ".npy", ".npz", ".h5", ".ckpt"}
    | {".jar", ".whl", ".tgz", ".zip", ".so", ".pyc", ".aot"}
)
_UNPICKLERS = frozenset({"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})
_NOT_OURS = frozenset({".venv", ".git", "build", "dist", "__pycache__", ".hotswap", "node_modules"})


@cache
def _files() -> tuple[Path, ...]:
    """Tracked and about to be tracked files; outside a git checkout, all files that are not built or installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [
            path
            for path in ROOT.rglob("*")
            if not any(part in _NOT_OURS or part.endswith("_cache") for part in path.relative_to(ROOT).parts)
        ]
    return tuple(path for path in found if path.is_file())


def _modules(*packages: str) -> list[Path]:
    return [
        path
        for path in _files()
        if path.suffix == ".py" and any((ROOT / package) in path.parents for package in packages)
    ]


def _dotted(node: ast.expr) -> str:
    """Return a name of one part or two as it is written; nothing for what is no such name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
    return ""


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_files_to_check() -> None:
    assert ROOT / "pyproject.toml" in _files()
    assert len(_modules("hotswap_stream", "events")) > 20


def test_no_registry_is_named_by_its_host() -> None:
    found = [
        f"{_named(path)}: {host}"
        for path in _files()
        for host in _REGISTRY_HOSTS
        if host.encode() in path.read_bytes().lower()
    ]
    assert found == []


def test_no_lock_files_weights_archives_or_pickles() -> None:
    found = [path for path in _files() if path.name in _LOCK_FILES or path.suffix in _BINARIES]
    assert [_named(path) for path in found if path != _LOCK_OF_THE_PAGE] == []


def test_the_lock_file_of_the_page_says_what_and_not_from_where() -> None:
    packages = json.loads(_LOCK_OF_THE_PAGE.read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 3
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_no_minified_files() -> None:
    def is_minified(path: Path) -> bool:
        return ".min." in path.name or (
            path.suffix in {".js", ".css"} and max(map(len, path.read_bytes().splitlines()), default=0) > 1_000
        )

    assert [_named(path) for path in _files() if is_minified(path)] == []


def test_constraints_hold_pinned_names_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if line.count("==") != 1 or any(sign in line for sign in "/@;:")] == []


def test_nothing_is_unpickled_or_evaluated() -> None:
    found = []
    suspicious = {*_UNPICKLERS, "eval", "exec", "load"}
    for path in naming(_modules("hotswap_stream", "events", "benchmarks", "tools", "examples"), suspicious):
        for node in nodes_of(path):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names} & _UNPICKLERS
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module.split(".")[0]} & _UNPICKLERS
            elif isinstance(node, ast.Call):
                called = _dotted(node.func)
                names = {called} & {"eval", "exec", "torch.load", "numpy.load", "np.load"}
                if called == "np.load" and "allow_pickle=False" in ast.unparse(node):
                    names = set()
            found += [f"{_named(path)}:{getattr(node, 'lineno', 0)}: {name}" for name in names]
    assert found == []


def test_only_settings_reads_the_environment() -> None:
    allowed = {ROOT / "hotswap_stream" / "settings.py"}
    found = [
        f"{_named(path)}:{node.lineno}"
        for path in naming(_modules("hotswap_stream", "events"), ("environ", "environb", "getenv"))
        if path not in allowed
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and _dotted(node) in ("os.environ", "os.getenv", "os.environb")
    ]
    assert found == []


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "manager", "misc"])
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    assert [_named(path) for path in _files() if path.stem == name or name in path.relative_to(ROOT).parts] == []


def test_modules_stay_small() -> None:
    sizes = {_named(path): len(path.read_bytes().splitlines()) for path in _modules("hotswap_stream", "events")}
    assert {name: lines for name, lines in sizes.items() if lines > MODULE_LINES_MAX} == {}


@pytest.mark.slow
def test_the_workflow_is_one_and_runs_what_developers_run() -> None:
    """Continuous integration runs `.ci/run`, on the oldest Python that is supported among others."""
    path = ROOT / ".github" / "workflows" / "ci.yml"
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    job = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]["test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"].removeprefix(">=") in job["strategy"]["matrix"]["python"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_hooks_before_a_commit_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert hooks
    for hook in hooks:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
        named = [word for word in hook["entry"].split() if word.endswith(".py")]
        assert [word for word in named if not (ROOT / word).exists()] == []
