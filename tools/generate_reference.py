"""Write the generated pages of `docs/reference/`: `python -m tools.generate_reference`; `--check` compares only."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.reference_cli import cli_page
from tools.reference_http import http_page
from tools.reference_messages import events_page, messages_page
from tools.reference_metrics import metrics_page
from tools.reference_pages import errors_page, legal_steps_page, settings_page, topics_page

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"


PAGES: dict[str, Callable[[], str]] = {
    "events.md": events_page,
    "messages.md": messages_page,
    "topics.md": topics_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "legal-steps.md": legal_steps_page,
    "errors.md": errors_page,
    "http.md": http_page,
    "cli.md": cli_page,
}


def reference_page(name: str) -> str:
    """Return the text of one generated page, by its name in `PAGES`."""
    return PAGES[name]().rstrip("\n") + "\n"


def main() -> int:
    """Return the exit code: 0 when everything is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write; exit code 1 on a difference")
    check = parser.parse_args().check
    differing = []
    for name in PAGES:
        path, text = REFERENCE / name, reference_page(name)
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                differing.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    sys.stderr.writelines(f"changed: {name}\n" for name in differing)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
