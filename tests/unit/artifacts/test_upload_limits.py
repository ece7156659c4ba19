"""What uploads may take, by the settings."""

from typing import Any

import pytest

from hotswap_stream.bootstrap.uploads import upload_limits
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings


def test_there_is_room_for_one_of_the_largest_size() -> None:
    limits = upload_limits(Settings(artifact_bytes_max=2**40, uploads_bytes_max=1))
    assert (limits.file_bytes_max, limits.uploads_bytes_max) == (2**40, 2**40)
    assert upload_limits(Settings(uploads_bytes_max=2**41)).uploads_bytes_max == 2**41


@pytest.mark.parametrize(
    "wrong", [{"uploads_max": 0}, {"upload_trials_max": -1}, {"upload_seconds_max": 59.9}, {"upload_seconds_max": 0.0}]
)
def test_a_setting_that_does_not_fit_is_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=f"HOTSWAP_{name.upper()} is .*needed"):
        upload_limits(Settings(**wrong))
