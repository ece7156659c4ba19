"""The law over HTTP: whatever is asked, no answer is a failure of the server, and the next good request is answered."""

import time
from collections.abc import Sequence
from random import Random

import httpx

from tests.hostile.good_records import NotHandledError
from tests.hostile.http_cells import HttpCell
from tests.hostile.law import Outcome
from tests.hostile.probes import Probes
from tests.hostile.stage import HostileStage

GROUP_CELLS_MAX = 60
READ_BYTES_MAX = 1_000_000
SERVER_ERROR = 500
UNAVAILABLE = 503


def http_groups(cells: Sequence[HttpCell], seed: int) -> list[list[HttpCell]]:
    """In an order that the seed gives."""
    mixed = list(cells)
    Random(f"hostile/{seed}/http").shuffle(mixed)
    return [mixed[first : first + GROUP_CELLS_MAX] for first in range(0, len(mixed), GROUP_CELLS_MAX)]


async def try_http(hostile: HostileStage, probes: Probes, cells: Sequence[HttpCell]) -> Outcome:
    """Ask one after the other, and see whether the law holds. What is broken names its cell."""
    began, outcome = time.monotonic(), Outcome(cells=[str(cell) for cell in cells])
    for cell in cells:
        wrong = await _asked(hostile, cell)
        if wrong is not None:
            outcome.broken.append(f"{cell}: {wrong}")
            outcome.culprits.append(str(cell))
    try:
        await probes.run(("http", "commands"))
    except NotHandledError as error:
        outcome.broken.append(f"not handled: {error}")
        outcome.broken += await hostile.unwell() or ["health said that all is well meanwhile"]
        outcome.spoiled = True
    ended = hostile.ended()
    outcome.broken += ended
    outcome.spoiled |= bool(ended)
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


async def _asked(hostile: HostileStage, cell: HttpCell) -> str | None:
    """What is wrong with the answer."""
    url = httpx.URL(str(hostile.http.base_url)).copy_with(raw_path=cell.target.encode())
    headers = [(name.encode(), value) for name, value in cell.headers]
    request = hostile.http.build_request(cell.method, url, headers=headers, content=cell.body)
    try:
        answer = await hostile.http.send(request, stream=True)
    except httpx.LocalProtocolError:
        return None  # our own client does not send such a thing
    except httpx.HTTPError as error:
        # A body of which nothing is wanted may be cut off while it is sent.
        return None if cell.kind == "huge" else f"no answer: {error!r}"
    try:
        if answer.status_code < SERVER_ERROR:
            return None
        if answer.status_code == UNAVAILABLE and "retry-after" in answer.headers:
            return None
        said = b""
        async for chunk in answer.aiter_bytes():
            said += chunk
            if len(said) > READ_BYTES_MAX:
                break
        return f"{answer.status_code} {said[:300]!r}"
    finally:
        await answer.aclose()
