"""One attempt at a webhook over real HTTP: what it sends, and that nothing a receiver does can hurt the sender."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hotswap_stream.adapters.http.webhook_post import ANSWER_BYTES_MAX, DETAIL_CHARACTERS_MAX, HttpWebhookPoster
from hotswap_stream.application.webhooks.retry import PostOutcome
from tests.support.webhook_receiver import Answer, Receiver

BODY = b'{"a": 1}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def post(url: str, *, timeout_ms: int = 5_000) -> PostOutcome:
    async with HttpWebhookPoster(timeout_ms=timeout_ms) as poster:
        return await poster.post(url, {"webhook-id": "m-1"}, BODY)


async def test_body_and_headers_arrive_as_they_are(receiver: Receiver) -> None:
    outcome = await post(receiver.url("/hook?token=t"))
    (came,) = receiver.at("/hook?token=t")
    assert outcome.delivered
    assert came.body == BODY
    assert came.headers["webhook-id"] == "m-1"
    assert came.headers["user-agent"].startswith("hotswap-stream/")


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers["/hook"].append(Answer(302, {"location": receiver.url("/elsewhere")}))
    outcome = await post(receiver.url())
    assert (outcome.status, outcome.delivered) == (302, False)
    assert receiver.at("/elsewhere") == []


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7, 7),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 1e9, 1e11),
        ("soon", None, None),
        ("-3", None, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None, None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None, None),
    ],
)
async def test_retry_after_is_read(receiver: Receiver, value: str, least: float | None, most: float | None) -> None:
    receiver.answers["/hook"].append(Answer(503, {"retry-after": value}))
    seconds = (await post(receiver.url())).retry_after_seconds
    assert seconds is None if least is None or most is None else seconds is not None and least <= seconds <= most


async def test_a_long_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answers["/hook"].append(Answer(400, body=b"no\n\x07way " + b"x" * (1_000 * ANSWER_BYTES_MAX)))
    outcome = await post(receiver.url())
    assert outcome.refused
    assert outcome.detail.startswith("no ?way xxx")
    assert len(outcome.detail) == DETAIL_CHARACTERS_MAX


async def test_a_receiver_that_says_nothing_is_left_in_time(receiver: Receiver) -> None:
    never = asyncio.Event()
    receiver.answers["/hook"].append(Answer(hold=never))
    outcome = await post(receiver.url(), timeout_ms=200)
    never.set()
    assert outcome.status is None
    assert str(outcome) == "no answer: nothing within 0.2 s"


async def test_an_answer_that_drips_counts_by_its_status() -> None:
    """Byte by byte each wait is short; the whole is limited all the same, and the status was there."""
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not writer.is_closing() and not ended.is_set():
            writer.write(b"x")
            await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        outcome = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_ms=300)
    finally:
        ended.set()
        server.close()
        await server.wait_closed()
    assert outcome.delivered


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-nothing\r\n\r\n", b"HTTP/1.1 999999 ?\r\n\r\n"])
async def test_what_is_no_http_is_an_outcome(said: bytes) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    try:
        outcome = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    finally:
        server.close()
        await server.wait_closed()
    assert not outcome.delivered
    assert not outcome.refused
    assert str(outcome).startswith("no answer: ")


async def test_plain_http_does_not_pass_for_tls(receiver: Receiver) -> None:
    outcome = await post(receiver.url().replace("http:", "https:"))
    assert outcome.status is None
    assert receiver.received == []


async def test_nobody_there_is_an_outcome(receiver: Receiver) -> None:
    url = receiver.url()
    async with Receiver() as other:
        gone = other.url()
    assert "ConnectError" in (await post(gone)).detail
    assert (await post(url)).delivered


@pytest.mark.parametrize("said", ["cannot POST {path}", "the token {raw} is bad", "the token {plain} is bad"])
async def test_an_answer_that_repeats_the_url_does_not_show_its_query(receiver: Receiver, said: str) -> None:
    path = "/hook?token=abc%2Fdef"
    body = said.format(path=path, raw="abc%2Fdef", plain="abc/def").encode()
    receiver.answers[path].append(Answer(500, body=body))
    outcome = await post(receiver.url(path))
    assert "abc" not in str(outcome)
    assert str(outcome).startswith("HTTP 500: ")
    assert "…" in str(outcome)
