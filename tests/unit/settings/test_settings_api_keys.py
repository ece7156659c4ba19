"""API keys from the environment: read, refused with the entry's place, never shown."""

import pytest

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.listed_settings import parse_api_keys
from hotswap_stream.settings import load_settings


def test_names_and_keys_are_read() -> None:
    assert parse_api_keys("alice:secret-of-alice, ci : with:colons:inside,") == {
        "alice": "secret-of-alice",
        "ci": "with:colons:inside",
    }
    assert parse_api_keys(None) == parse_api_keys(" ") == {}


@pytest.mark.parametrize("text", ["secret-without-name", ":secret-of-nobody", "alice:short", "alice:"])
def test_a_wrong_entry_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_API_KEYS: entry 2") as error:
        parse_api_keys(f"bob:secret-of-bob,{text}")
    assert "secret" not in str(error.value)
    assert "short" not in str(error.value)


def test_a_name_may_have_one_key() -> None:
    with pytest.raises(ConfigurationError, match="'alice' stands there twice"):
        parse_api_keys("alice:secret-one,alice:secret-two")


def test_keys_are_not_shown() -> None:
    settings = load_settings({"HOTSWAP_API_KEYS": "alice:secret-of-alice"})
    assert "alice" not in repr(settings)
    assert "api_keys=***" in repr(settings)
