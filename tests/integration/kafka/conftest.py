"""A cluster that lets in whom it knows only, for the tests of this folder, and an environment on it for a module."""

from collections.abc import Iterator

import pytest

from tests.support.kafka.secured_broker import SecuredBroker, TokenServer, secured_broker
from tests.support.stages.secured import ROLES, Secured, principal


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        broker.add_users(principal(role) for role in ROLES)
        yield broker


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    server = TokenServer(life_seconds=300)
    yield server
    server.close()


@pytest.fixture(scope="module")
def stage(secured: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> Secured:
    stage = Secured(secured, tmp_path_factory.mktemp("environment"))
    stage.give_rights()
    stage.serve_model(secured.by_password)
    return stage
