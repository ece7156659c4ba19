"""Settings of MLflow's paths that do not fit are found before the API listens."""

from typing import Any

import pytest

from hotswap_stream.bootstrap import check_api_settings
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings


@pytest.mark.parametrize("alias", ["", "v3", "3", "latest", "the best", "x" * 64])
def test_an_alias_that_no_client_could_set_is_refused(alias: str) -> None:
    with pytest.raises(ConfigurationError, match=r"HOTSWAP_MLFLOW_PRODUCTION_ALIAS: alias .* is not valid"):
        check_api_settings(Settings(mlflow_production_alias=alias))


@pytest.mark.parametrize(
    "url", ["models.example", "ftp://models.example", "https://a@b.example", "https://b/?x", "https://"]
)
def test_an_address_that_clients_cannot_ask_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"HOTSWAP_MLFLOW_URL is .* is needed"):
        check_api_settings(Settings(mlflow_url=url))


@pytest.mark.parametrize(
    "right", [{}, {"mlflow_production_alias": "production"}, {"mlflow_url": "https://models.example:8443/hotswap"}]
)
def test_others_are_taken(right: dict[str, Any]) -> None:
    check_api_settings(Settings(**right))
