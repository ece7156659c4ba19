"""A server that tells what arrived, and requests byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.response import Stream

from tests.support.raw_http import RawAnswer, raw_connection

BODY = b'{"expected_sequence": 999, "padding": "' + b"x" * 4_000 + b'"}'
BIG_CHUNKS = 1_000


class Arrived(msgspec.Struct):
    """What a request was, for its handler."""

    body_bytes: int
    headers: dict[str, str]
    path: str


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> Arrived:
    body = await request.body()
    return Arrived(len(body), dict(request.headers), request.url.path)


@post("/deaf", status_code=200)
async def deaf() -> str:
    return "not read"


class Long:
    """Requests that take until they may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()


LONG = Long()


class Big:
    """An answer that is larger than what lies between server and client."""

    def __init__(self) -> None:
        self.cut_off = asyncio.Event()

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(BIG_CHUNKS):
                yield b"x" * 1_000_000
        finally:
            self.cut_off.set()


BIG = Big()


@get("/long")
async def long() -> str:
    LONG.begun += 1
    await LONG.may_end.wait()
    return "at last"


@get("/big")
async def big() -> Stream:
    return Stream(BIG())


@get("/hello")
async def hello(request: Request[Any, Any, Any]) -> Arrived:
    return Arrived(0, dict(request.headers), request.url.path)


async def asked(url: str, data: bytes) -> RawAnswer | None:
    async with raw_connection(url) as connection:
        await connection.send(data)
        return await connection.answer()


def arrived(answer: RawAnswer | None) -> Arrived:
    assert answer is not None
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=Arrived)
