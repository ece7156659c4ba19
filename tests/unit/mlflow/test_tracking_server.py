"""A tracking server that means harm: sent elsewhere, too long, of other shape, with names that climb."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hotswap_stream.adapters.mlflow.resolving import Resolver, SourcesAllowed
from hotswap_stream.adapters.mlflow.tracking_server import ANSWER_BYTES_MAX, TrackingServer
from hotswap_stream.application.mlflow.source import SourceRefusedError, SourceUnavailableError
from hotswap_stream.errors import ConfigurationError, HotswapError

TOKEN = "shown-to-one-server"  # noqa: S105


class Server(ThreadingHTTPServer):
    """Answers all by `answer`."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, value: Any) -> None:
        self.answer = (200, {}, json.dumps(value).encode())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def resolver(server: Server) -> Resolver:
    def no_s3(bucket: str, prefix: str) -> Any:
        raise AssertionError("nothing is read from S3 that the operator did not allow")

    return Resolver(SourcesAllowed(tracking_uri=server.url, tracking_token=TOKEN, owner_named=True), no_s3)


async def refusal(server: Server, source: str = "models:/cats/1") -> HotswapError:
    with pytest.raises(HotswapError) as refused:
        async with resolver(server).opened(source) as folder:
            await folder.files()
    return refused.value


async def test_no_other_server_is_asked_and_shown_the_token(server: Server) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        server.answer = (302, {"Location": f"{other.url}/"}, b"")
        assert "sends to another place" in str(await refusal(server))
        server.says({"artifact_uri": f"mlflow-artifacts://127.0.0.1:{other.server_port}/0/x"})
        assert "only that is asked" in str(await refusal(server))
        server.says({"artifact_uri": f"{other.url}/api/2.0/mlflow-artifacts/artifacts/0/x"})
        assert "nothing that models are imported from" in str(await refusal(server))
        other.shutdown()
        thread.join()
        assert other.seen == []
    assert {token for _, token in server.seen} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("place", ["file:///etc", "/etc", "s3://other-bucket/x"])
async def test_what_a_server_names_is_not_what_the_person_named(place: str, server: Server) -> None:
    server.says({"artifact_uri": place})
    assert isinstance(await refusal(server), SourceRefusedError)


async def test_names_that_lead_to_names_have_an_end(server: Server) -> None:
    server.says({"artifact_uri": "models:/cats/1"})
    assert "from one name to the next" in str(await refusal(server))


@pytest.mark.parametrize(
    "files",
    [
        [{"path": "..", "is_dir": True}],
        [{"path": "a\\b"}],
        [{"path": ""}],
        [{"path": "a", "is_dir": True}],
        [{"path": f"f{index}"} for index in range(3_000)],
        [{"path": 5}],
        "no list",
    ],
)
async def test_a_listing_stays_in_its_folder_and_has_an_end(files: Any, server: Server) -> None:
    server.says({"files": files})
    assert isinstance(await refusal(server, "mlflow-artifacts:/0/x"), SourceRefusedError)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {}, b"x" * (ANSWER_BYTES_MAX + 1)), "answers with more than"),
        ((200, {}, b"<html>"), "answers what none of MLflow's does"),
        ((200, {"Content-Encoding": "gzip"}, b"{}"), "refuses with 200"),
        ((404, {}, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no cats"}'), "404: .*no cats"),
        ((403, {}, b"x" * 100_000), "403"),
    ],
)
async def test_what_no_server_of_mlflow_says_is_refused(
    answer: tuple[int, dict[str, str], bytes], says: str, server: Server
) -> None:
    server.answer = answer
    error = await refusal(server)
    assert isinstance(error, SourceRefusedError)
    with pytest.raises(SourceRefusedError, match=says):
        raise error


async def test_a_server_that_is_away_may_come_back(server: Server) -> None:
    server.answer = (503, {}, b"")
    assert isinstance(await refusal(server), SourceUnavailableError)


@pytest.mark.parametrize("uri", ["mlflow", "ftp://host", "http://", "http://host:port", "http://host/?x=1"])
def test_a_uri_that_is_none_is_found_before(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="tracking server"):
        TrackingServer(uri, None)


def test_secrets_are_not_in_words() -> None:
    assert "secret" not in TrackingServer("http://user:secret@host:5000", "secret").words
    assert "secret" not in repr(SourcesAllowed(tracking_uri="http://user:secret@host", tracking_token="secret"))  # noqa: S106
