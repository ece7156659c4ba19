"""The other side of the desk: what a container or an orchestrator's machine asks, and how it reports."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

import httpx
import msgspec

from hotswap_stream.application.trainers.outside import (
    OutsideDataset,
    OutsideOrder,
    ReportedEnd,
    ReportFailedError,
    RunOverError,
)
from hotswap_stream.application.trainers.protocol import TrainerLine

SECONDS_MAX = 30.0
ATTEMPTS_MAX = 6
PAUSE_SECONDS = 2.0
PIECE_BYTES = 1024 * 1024
ORDER_BYTES_MAX = 1024 * 1024
_GONE = (401, 410)
_lines = msgspec.json.Encoder()


class DeskClient:
    """See RunReports. Use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            timeout=SECONDS_MAX,
            follow_redirects=False,
        )
        self._sequence = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._client.aclose()

    async def order(self) -> OutsideOrder:
        """See RunReports."""
        answer = await self._call("GET", "")
        try:
            return msgspec.json.decode(answer[:ORDER_BYTES_MAX], type=OutsideOrder)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ReportFailedError(f"what came is no order: {error}") from error

    async def fetch(self, dataset: OutsideDataset, file: Path, bytes_max: int) -> None:
        """See RunReports."""
        digest, size = sha256(), 0
        try:
            async with self._client.stream("GET", f"{self._url}/{dataset.path}") as response:
                _check(response.status_code, "")
                with file.open("xb") as opened:
                    async for piece in response.aiter_bytes(PIECE_BYTES):
                        size += len(piece)
                        if size > bytes_max:
                            raise ReportFailedError(f"dataset {dataset.digest} has more than {bytes_max} bytes")
                        digest.update(piece)
                        await asyncio.to_thread(opened.write, piece)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ReportFailedError(f"dataset {dataset.digest} did not come: {error!r}") from error
        if dataset.digest != f"sha256:{digest.hexdigest()}":
            raise ReportFailedError(f"dataset {dataset.digest} came with the digest sha256:{digest.hexdigest()}")
        await asyncio.to_thread(file.chmod, 0o400)

    async def progress(self, lines: Sequence[TrainerLine] = ()) -> None:
        """See RunReports."""
        self._sequence += 1
        body = b"".join(_lines.encode(line) + b"\n" for line in lines)
        # A report that came although its answer was lost is refused as a replay, which is as good.
        await self._call("POST", "/progress", query={"sequence": str(self._sequence)}, body=body, well=(409,))

    async def log(self, text: str) -> None:
        """See RunReports."""
        await self._call("POST", "/log", body=text.encode())

    async def hand_in(self, file: Path) -> None:
        """See RunReports."""
        digest = await asyncio.to_thread(_digest, file)
        await self._call("PUT", f"/files/{file.name}", query={"digest": digest}, file=file)

    async def end(self, end: ReportedEnd) -> None:
        """See RunReports."""
        await self._call("POST", "/end", body=_lines.encode(end))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        file: Path | None = None,
        well: Sequence[int] = (),
    ) -> bytes:
        told = ""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            content = body if file is None else _pieces(file)
            try:
                response = await self._client.request(method, f"{self._url}{path}", params=query, content=content)
            except (httpx.HTTPError, httpx.StreamError) as error:
                told = repr(error)
            else:
                if response.is_success or response.status_code in well:
                    return response.content
                told = f"HTTP {response.status_code}: {response.text[:500]}"
                if response.status_code < 500 or response.status_code == 507:
                    _check(response.status_code, told)
            if attempt < ATTEMPTS_MAX:
                await asyncio.sleep(PAUSE_SECONDS)
        raise ReportFailedError(f"{method} {path or 'order'}: {told}")


def _check(status: int, told: str) -> None:
    if status in _GONE:
        raise RunOverError(f"this run is over, or not known there: {told or status}")
    if not 200 <= status < 300:
        raise ReportFailedError(told or f"HTTP {status}")


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
            yield piece


def _digest(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"
