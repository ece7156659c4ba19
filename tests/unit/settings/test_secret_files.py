"""Secrets in files: read, never shown, and children get the file's name instead of the secret."""

import os
from pathlib import Path

import pytest

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import SECRETS, Settings, api_key_here, child_environment, load_settings


def test_each_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of-the-file-and-long\n")
    assert set(Settings.__struct_fields__) >= SECRETS
    for name in SECRETS:
        settings = load_settings({f"HOTSWAP_{name.upper()}_FILE": str(file)})
        assert getattr(settings, name) == "of-the-file-and-long"
        assert "of-the-file-and-long" not in repr(settings)
    with pytest.raises(ConfigurationError, match="HOTSWAP_TOPIC_PREFIX_FILE is not a setting"):
        load_settings({"HOTSWAP_TOPIC_PREFIX_FILE": str(file)})


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"two\nlines", b"x" * 70_000])
def test_a_file_without_a_secret_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="HOTSWAP_ANSWERS_KEY_FILE") as error:
        load_settings({"HOTSWAP_ANSWERS_KEY_FILE": str(file)})
    assert "two" not in str(error.value).replace(str(file), "")


def test_a_file_that_is_not_there_or_one_too_many_is_refused(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "none"), "\ud800"):
        with pytest.raises(ConfigurationError, match="HOTSWAP_ANSWERS_KEY_FILE"):
            load_settings({"HOTSWAP_ANSWERS_KEY_FILE": path})
    with pytest.raises(ConfigurationError, match="exclude each other"):
        load_settings({"HOTSWAP_ANSWERS_KEY_FILE": "f", "HOTSWAP_ANSWERS_KEY": "long-enough-and-secret"})


def test_children_and_clients_take_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("secret-of-ann")
    for name in [name for name in os.environ if name.startswith("HOTSWAP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOTSWAP_API_KEY_FILE", str(file))
    assert api_key_here() == "secret-of-ann"
    environment = child_environment(load_settings())
    assert environment["HOTSWAP_API_KEY_FILE"] == str(file)
    assert "secret-of-ann" not in environment.values()
    assert load_settings(environment).api_key == "secret-of-ann"
