"""Say what to install so that pip holds every file against `constraints-hashes.txt`. Needs the standard library alone.

    python tools/hashed_requirements.py api,worker     what these extras, and the build of the package, need directly
    python tools/hashed_requirements.py --pinned pip   the pin of a package with its hashes, for any pip

pip refuses unpinned requirements beside hashes; newer ones take the pin from a constraint (26.3 does, 23.2 does not).
So an older pip installs the newer one first, which is pinned and has hashes as all else has.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HASHES = "constraints-hashes.txt"
_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS = re.compile(r"hotswap-stream\[([a-z0-9,-]+)\]")


def direct_requirements(extras: Sequence[str], root: Path = ROOT) -> list[str]:
    """Return what the package, its extras and its build ask for, as `pyproject.toml` says it.

    Args:
        extras: Names of extras; those that an extra of ours names are followed.
        root: The folder with `pyproject.toml`.

    Returns:
        Requirements without our own package, each once, in the order of the file.

    Raises:
        KeyError: There is no such extra.
    """
    document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    optional: dict[str, list[str]] = document["project"]["optional-dependencies"]
    found = [*document["build-system"]["requires"], *document["project"]["dependencies"]]
    waiting, seen = list(extras), set[str]()
    while waiting:
        extra = waiting.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in optional[extra]:
            ours = _OURS.fullmatch(requirement)
            if ours:
                waiting += ours[1].split(",")
            else:
                found.append(requirement)
    return list(dict.fromkeys(found))


def pins(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Return the pins of a file with hashes: normalized name, version, and `sha256:…` of each file of that release."""
    for statement in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = statement.split()
        if words and not words[0].startswith("#"):
            name, _, number = words[0].partition("==")
            hashes = [word.removeprefix("--hash=") for word in words[1:] if word.startswith("--hash=")]
            yield normalized(name), number, hashes


def pinned(names: Sequence[str], root: Path = ROOT) -> str:
    """Return the pins of these packages with their hashes, as pip reads them.

    Raises:
        KeyError: A package is not pinned.
    """
    known = {name: (number, hashes) for name, number, hashes in pins((root / HASHES).read_text(encoding="utf-8"))}
    lines = []
    for name in names:
        number, hashes = known[normalized(name)]
        lines.append(" ".join([f"{name}=={number}", *(f"--hash={digest}" for digest in hashes)]))
    return "\n".join(lines)


def normalized(name: str) -> str:
    """Return a package's name as registries compare names."""
    return _SEPARATORS.sub("-", name).lower()


def name_of(requirement: str) -> str:
    """Return the normalized name of the package that a requirement is about."""
    found = _NAME.match(requirement)
    return normalized(found[0]) if found else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description="What to install, so that pip checks every file's hash.")
    parser.add_argument("extras", nargs="?", default="", help="extras, with commas between them")
    parser.add_argument("--pinned", nargs="+", metavar="PACKAGE", help="print the pins of these packages instead")
    asked = parser.parse_args(arguments)
    try:
        if asked.pinned:
            print(pinned(asked.pinned))  # noqa: T201
        else:
            print("\n".join(direct_requirements([extra for extra in asked.extras.split(",") if extra])))  # noqa: T201
    except KeyError as error:
        print(f"{error.args[0]} is neither an extra of pyproject.toml nor pinned in {HASHES}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
