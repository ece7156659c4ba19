"""Write `schemas/` from the code: `python -m tools.generate_schemas`, with `--check` to compare only."""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from hotswap_stream.api import openapi_document
from hotswap_stream.application.trainers.outside import Ask, CancelAsk, OutsideOrder, ReportedEnd
from hotswap_stream.application.trainers.protocol import TrainerLine, TrainerOrder
from tools.asyncapi_document import asyncapi_yaml
from tools.json_schemas import message_schema
from tools.message_catalogue import MESSAGES
from tools.routing_vectors import routing_vectors

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "schemas"
_OWNED = (
    "events/*.schema.json",
    "messages/*.schema.json",
    "trainers/*.schema.json",
    "asyncapi.yaml",
    "openapi.json",
    "routing-vectors.json",
)


def schema_files() -> dict[str, str]:
    """Return path below `schemas/` → text, for every generated file."""
    files = {
        message.file: json.dumps(message_schema(message), indent=2, ensure_ascii=False) + "\n"
        for message in MESSAGES
        if message.payload is not None
    }
    openapi = json.dumps(openapi_document(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    return (
        files
        | trainer_schemas()
        | {
            "asyncapi.yaml": asyncapi_yaml(),
            "openapi.json": openapi,
            "routing-vectors.json": routing_vectors(),
        }
    )


def trainer_schemas() -> dict[str, str]:
    """Return the schemas of what a runner says to a trainer or an orchestrator, and what it hears of them."""
    said = {
        "order": TrainerOrder,
        "line": TrainerLine,
        "ask": Ask,
        "cancel": CancelAsk,
        "outside-order": OutsideOrder,
        "reported-end": ReportedEnd,
    }
    return {
        f"trainers/{name}.schema.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)},
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for name, kind in said.items()
    }


def differences(folder: Path, files: dict[str, str]) -> list[str]:
    """Return what has to change in `folder` so that it holds exactly `files`; other people's files do not count."""
    present = {str(path.relative_to(folder)) for pattern in _OWNED for path in folder.glob(pattern)}
    missing = [f"missing: {name}" for name in sorted(files.keys() - present)]
    stale = [f"no longer generated: {name}" for name in sorted(present - files.keys())]
    changed = [
        f"changed: {name}"
        for name in sorted(files.keys() & present)
        if (folder / name).read_text(encoding="utf-8") != files[name]
    ]
    return [*missing, *stale, *changed]


def write(folder: Path, files: dict[str, str]) -> None:
    """Make `folder` hold exactly `files` of ours."""
    for pattern in _OWNED:
        for path in folder.glob(pattern):
            if str(path.relative_to(folder)) not in files:
                path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Return the exit code: 0 when everything is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write; exit code 1 on a difference")
    files = schema_files()
    if not parser.parse_args().check:
        write(SCHEMAS, files)
        return 0
    found = differences(SCHEMAS, files)
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
