"""`?after=OFFSET`: an answer that knows of the record at this offset, whichever server is asked.

A command's answer names the offset of its event. Another server may not have read it yet; with `after` it waits.
"""

import asyncio
import re
from typing import Any

from litestar.connection import ASGIConnection

from hotswap_stream.api.protocol.parameters import AFTER, reads_the_log
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime

SECONDS_MAX = 5.0
WAITING_MAX = 256
_OFFSET = re.compile(r"[0-9]{1,19}")

_waiting = 0


async def know_of(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Return once the record that `after` names is read here.

    Raises:
        ProblemError: 422 for what is no offset of a record; 503 where it was not read in time, or too many wait.
        LogUnavailableError: The log is not followed, or does not tell where it ends.
    """
    global _waiting
    given = connection.query_params.get(AFTER)
    if given is None or connection.scope.get("method") != "GET" or not reads_the_log(connection.scope["path"]):
        return
    if _OFFSET.fullmatch(given) is None:
        raise ProblemError(422, "invalid-value", f"after is {given[:100]!r}; the offset of a record is needed")
    runtime: ApiRuntime = connection.app.state.runtime
    registry, wanted = runtime.registry, int(given) + 1
    if registry.fold.next_offset >= wanted:
        return
    if _waiting >= WAITING_MAX:
        raise _not_yet(f"{WAITING_MAX} queries wait for records already")
    _waiting += 1
    try:
        async with asyncio.timeout(SECONDS_MAX):
            if await registry.log.end_offset() < wanted:
                raise ProblemError(422, "invalid-value", f"after is {given}, and the log has no record there")
            await registry.wait_for_offset(wanted)
    except TimeoutError:
        at = registry.fold.next_offset
        raise _not_yet(f"the log is read up to offset {at} here; {given} did not come in {SECONDS_MAX:g} s") from None
    finally:
        _waiting -= 1


def _not_yet(detail: str) -> ProblemError:
    return ProblemError(503, "not-read-yet", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
