"""One S3 server for all tests of artifact stores, where each has a prefix of its own; and an API that takes uploads."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig
from tests.support.s3_server import s3_server
from tests.support.stages.uploads import UploadStage, open_upload_stage


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArtifactStoreConfig]:
    with s3_server(tmp_path_factory.mktemp("s3")) as config:
        yield config


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[UploadStage]:
    """Nothing may be left of uploads at the end."""
    async with open_upload_stage(tmp_path) as stage:
        yield stage
        assert stage.files() == []
