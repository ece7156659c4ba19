"""The documents: links lead somewhere, commands and settings exist, code parses, and parity names what is there."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml

from hotswap_stream.settings import PREFIX, SECRETS, Settings
from tests.support.checkout import ROOT
from tools.reference_cli import command_names

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ROWS = [
    *(f"A{number}" for number in range(1, 13)),
    *(f"B{number}" for number in range(1, 10)),
    *(f"C{number}" for number in range(1, 9)),
    *(f"D{number}" for number in range(1, 11)),
    *(f"E{number}" for number in range(1, 8)),
    *(f"X{number}" for number in range(1, 18)),
]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND_IN_BLOCK = re.compile(r"^    .*?\b(hotswap-stream [a-z].*)$", re.MULTILINE)
_COMMAND_INLINE = re.compile(r"`(hotswap-stream [^`\n]+)`")


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _anchors(path: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ +(.*)$", _text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(_text(document)):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{link} leads nowhere"
        assert ROOT in target.parents
        if anchor:
            assert anchor in _anchors(target), f"{link}: no such heading"


def test_the_tutorial_begins_with_a_model_of_ones_own() -> None:
    """Its code is that of the guide, which a test runs."""
    guide = _python(_text(ROOT / "docs" / "guides" / "serve-your-own-model.md"))
    _, _, after = _text(ROOT / "docs" / "tutorial.md").partition("## 3. Serve a model of your own\n")
    section, _, _ = after.partition("\n## ")
    shown = dict(zip(re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE), _python(section), strict=True))
    assert list(shown) == ["scikit-learn", "XGBoost", "torch", "ONNX"]
    assert set(shown.values()) <= set(guide)


def _python(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_settings_that_are_named_exist(document: Path) -> None:
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", _text(document)))
    of_tests = ("BAD_INPUT", "KAFKA_BOOTSTRAP_SERVERS", "PROCESSES_EXECUTED", "SCHEMATHESIS_EXAMPLES")
    allowed = known | {f"{PREFIX}TEST_{name}" for name in of_tests}
    # `HOTSWAP_KAFKA_…` stands for all that begin so.
    assert {name for name in named - allowed if not any(each.startswith(name) for each in known)} == set()


@cache
def _commands() -> dict[str, set[str]]:
    return command_names()


def _used_commands(text: str) -> list[str]:
    without_output = re.sub(r"^```\w+\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return _COMMAND_IN_BLOCK.findall(without_output) + _COMMAND_INLINE.findall(without_output)


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.parent.name != "reference"], ids=_named)
def test_commands_that_are_shown_exist(document: Path) -> None:
    for shown in _used_commands(_text(document)):
        command_line = shown.partition(" #")[0].replace("…", "x")
        words = shlex.split(command_line, comments=True)
        depth = next((depth for depth in (3, 2) if " ".join(words[:depth]) in _commands()), 0)
        assert depth, f"{shown!r}: there is no such command"
        options = {word.partition("=")[0] for word in words[depth:] if word.startswith("-") and len(word) > 1}
        assert options <= _commands()[" ".join(words[:depth])], shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_code_blocks_parse(document: Path) -> None:
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", _text(document), re.DOTALL | re.MULTILINE):
        if language == "python":
            ast.parse(code)
        elif language == "json":
            msgspec.json.decode(code)
        elif language == "yaml":
            yaml.safe_load(code)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_lines_are_readable_and_clean(document: Path) -> None:
    text = _text(document)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) >= 1


def _parity_rows() -> list[list[str]]:
    lines = [line for line in _text(ROOT / "docs" / "parity.md").splitlines() if re.match(r"\| [A-EX]\d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_parity_has_every_row_once() -> None:
    assert [row[0] for row in _parity_rows()] == ROWS


@pytest.mark.parametrize("row", _parity_rows(), ids=lambda row: row[0])
def test_parity_rows_say_what_shows_them_or_that_nothing_does_yet(row: list[str]) -> None:
    _row_id, _what, state, shown_by = row
    assert state in ("built", "partly", "not yet")
    tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", shown_by)
    for path, test in tests:
        assert (ROOT / path).exists(), path
        assert not test or re.search(rf"def {test}\b", _text(ROOT / path)), f"{path} has no {test}"
    if state == "not yet":
        assert not tests
    else:
        assert tests or "`hotswap-stream " in shown_by or "`make " in shown_by
