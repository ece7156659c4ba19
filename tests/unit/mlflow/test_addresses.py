"""What sources name, and which names lead nowhere."""

import pytest

from hotswap_stream.application.mlflow.importing.addresses import (
    Address,
    FolderAddress,
    LoggedAddress,
    RegisteredAddress,
    RunAddress,
    S3Address,
    ServedAddress,
    read_address,
)
from hotswap_stream.application.mlflow.source import SourceRefusedError


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("/models/cats", FolderAddress("/models/cats")),
        ("models/cats#1", FolderAddress("models/cats#1")),
        ("file:///models/a%20cat", FolderAddress("/models/a cat")),
        ("file:/models/cats", FolderAddress("/models/cats")),
        ("s3://bucket/a/b/", S3Address("bucket", "a/b")),
        ("mlflow-artifacts:/0/models/m-1/artifacts", ServedAddress("", "0/models/m-1/artifacts")),
        ("mlflow-artifacts://host:5000/0/x", ServedAddress("host:5000", "0/x")),
        ("runs:/abc123/model", RunAddress("abc123", "model")),
        ("models:/m-25c2b1d238af", LoggedAddress("m-25c2b1d238af")),
        ("models:/cats/3", RegisteredAddress("cats", model_version="3")),
        ("models:/m-cats/3", RegisteredAddress("m-cats", model_version="3")),
        ("models:/cats@champion", RegisteredAddress("cats", alias="champion")),
    ],
)
def test_each_way_to_write_a_place_is_understood(source: str, address: Address) -> None:
    assert read_address(source) == address


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x" * 5_000,
        "/models/\0",
        "file://elsewhere/models",
        "file:///models/%00",
        "http://127.0.0.1/latest/meta-data",
        "https://mlflow/x",
        "ftp://x/y",
        "dbfs:/x",
        "s3:///no-bucket",
        "s3://bucket/a/../../b",
        "s3://bucket/%2e%2e/b",
        "s3://bucket/a?x=1",
        "mlflow-artifacts:/../../etc",
        "mlflow-artifacts:/0/%2e%2e/x",
        "runs:/../model",
        "runs:/abc/../../model",
        "runs:/abc",
        "models:/cats",
        "models:/cats/Production",
        "models:/a/b/3",
        "models:/",
        "http://[::1",
    ],
)
def test_what_leads_elsewhere_is_refused(source: str) -> None:
    with pytest.raises(SourceRefusedError):
        read_address(source)
