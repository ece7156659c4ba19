"""Where the checkout lies that the tests run from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
