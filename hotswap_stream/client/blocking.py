"""The topic client for code without an event loop; it runs one in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from hotswap_stream.client.topic_client import TopicClient

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _blocking(
    method: Callable[Concatenate[TopicClient, Parameters], Coroutine[Any, Any, Result]],
) -> "Callable[Concatenate[BlockingTopicClient, Parameters], Result]":
    """Return the method for a BlockingTopicClient, with the same parameters, docstring and errors."""

    @wraps(method)
    def call(client: "BlockingTopicClient", /, *args: Parameters.args, **options: Parameters.kwargs) -> Result:
        return client._run(method(client._client, *args, **options))

    return call


class BlockingTopicClient:
    """Like TopicClient, blocking: `with BlockingTopicClient("host:port") as client`. Any thread may call it."""

    def __init__(
        self,
        kafka: str | Mapping[str, Any],
        *,
        prefix: str = "hotswap",
        in_flight_max: int = 256,
        partitions: Collection[int] | None = None,
        answers_key: str | None = None,
    ) -> None:
        self._client = TopicClient(
            kafka, prefix=prefix, in_flight_max=in_flight_max, partitions=partitions, answers_key=answers_key
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    infer = _blocking(TopicClient.infer)

    def __enter__(self) -> Self:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="hotswap-topic-client", daemon=True)
        self._thread.start()
        self._run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self._run(self._client.__aexit__(None, None, None))
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("the client is not open; use it as 'with BlockingTopicClient(…) as client'")
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise
