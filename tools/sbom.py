"""Write what the product consists of, as CycloneDX: `make sbom`.

Two files in `build/sbom/`: `python.cdx.json`, the Python packages in an environment that the given extras need, and
`page.cdx.json`, the npm packages that go into the page. Both are made by those who know (cyclonedx-bom and npm); this
module says what belongs to the product, and has both held against the schema.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.build_page import npm_command
from tools.hashed_requirements import direct_requirements, name_of, normalized

ROOT = Path(__file__).resolve().parents[1]
SECONDS_MAX = 1_800
_VALIDATE = (
    "import sys; from cyclonedx.schema import SchemaVersion as V; from cyclonedx.validation.json import"
    " JsonStrictValidator as J; e = J(V.from_version(sys.argv[2])).validate_str(open(sys.argv[1]).read());"
    " sys.exit(str(e) if e else 0)"
)


def restrict(document: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a document with those components alone that the named packages need, directly or through others.

    Args:
        document: What cyclonedx-bom says of a whole environment, development tools included.
        names: Normalized names of the packages that the product asks for.

    Returns:
        The document, in which the root depends on the named packages that are there, and all else follows from that.
    """
    reference = {normalized(part["name"]): part["bom-ref"] for part in document["components"]}
    needs = {part["ref"]: part.get("dependsOn", []) for part in document["dependencies"]}
    root = document["metadata"]["component"]["bom-ref"]
    needs[root] = sorted(reference[name] for name in names if name in reference)
    reached = [root]
    for part in reached:
        reached += [other for other in dict.fromkeys(needs.get(part, [])) if other not in reached]
    return {
        **document,
        "components": [part for part in document["components"] if part["bom-ref"] in reached],
        "dependencies": [
            {"ref": ref, **({"dependsOn": needs[ref]} if needs[ref] else {})} for ref in sorted(needs) if ref in reached
        ],
    }


def describe_python(generator: Path, python: Path, extras: Sequence[str]) -> dict[str, Any]:
    """Return what the given extras need of the packages in an environment, with licences."""
    command: list[str | Path] = [generator / "cyclonedx-py", "environment", python]
    command += ["--pyproject", ROOT / "pyproject.toml"]
    said = _run([*command, "--short-PURLs", "--output-reproducible", "-o", "-"], ROOT)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    asked = [name for name in direct_requirements(extras) if name not in build]
    return restrict(json.loads(said), [name_of(requirement) for requirement in asked])


def describe_page(folder: Path) -> dict[str, Any]:
    """Return the npm packages that go into the page, as the lock file names them.

    Args:
        folder: Where to put copies of the two files: npm wants a version, which a page has none of by itself, and takes
            the folder's name for the name.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copies = folder / json.loads((ROOT / "page" / "package.json").read_text(encoding="utf-8"))["name"]
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        document = json.loads((ROOT / "page" / name).read_text(encoding="utf-8"))
        own = document["packages"][""] if "packages" in document else document
        own["version"] = document["version"] = project["version"]
        (copies / name).write_text(json.dumps(document), encoding="utf-8")
    options = ["--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only", "--omit=dev"]
    found: dict[str, Any] = json.loads(_run([*npm_command(), "sbom", *options], copies))
    return found


def _run(command: Sequence[str | Path], folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{Path(command[0]).name} failed: {ended.stderr.strip()[-2_000:]}")
    return ended.stdout


def main() -> int:
    """Write both files, and hold them against the schema."""
    parser = argparse.ArgumentParser(description="Write what the product consists of, as CycloneDX.")
    parser.add_argument("--generator", type=Path, required=True, help="the folder with the programs of cyclonedx-bom")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the environment's interpreter")
    parser.add_argument("--extras", default="all", help="what of the product is meant; commas between extras")
    asked = parser.parse_args()
    folder = ROOT / "build" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "python.cdx.json": describe_python(asked.generator.absolute(), asked.python, asked.extras.split(",")),
        "page.cdx.json": describe_page(folder),
    }
    for name, document in made.items():
        path = folder / name
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        _run([asked.generator.absolute() / "python", "-c", _VALIDATE, path, document["specVersion"]], ROOT)
        print(f"{path.relative_to(ROOT)}: {len(document['components'])} components, valid")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
