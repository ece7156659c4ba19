"""One S3 server for all tests of artifact stores; each test has a prefix of its own there."""

from collections.abc import Iterator

import pytest

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig
from tests.support.s3_server import s3_server


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArtifactStoreConfig]:
    with s3_server(tmp_path_factory.mktemp("s3")) as config:
        yield config
