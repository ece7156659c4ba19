"""The keeper of windows for one life of a model's loop."""

import asyncio
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaError, KafkaException

from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.requests import read_request
from hotswap_stream.workers.inference.waiting import Wait
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper

TOPIC_SECONDS_MAX = 60.0


def window_keeper(parts: LoopParts, loop: asyncio.AbstractEventLoop, stopping: threading.Event) -> WindowKeeper:
    """Return the keeper of windows for a loop's thread; topics are made by `loop`, which is that of another thread."""

    def ensure_topic() -> None:
        ensured = asyncio.run_coroutine_threadsafe(parts.host.ensure_windows_topic(), loop)
        wait = Wait(stopping, "the windows topic is not made", seconds_max=TOPIC_SECONDS_MAX)
        try:
            while True:
                try:
                    return ensured.result(0.2)
                except FutureTimeoutError:
                    wait.check()
        except (KafkaException, LogUnavailableError) as error:
            ensured.cancel()
            # What Kafka may heal: the loop begins anew.
            raise KafkaException(KafkaError(KafkaError._FAIL, f"no windows topic: {error!r}")) from error

    return WindowKeeper(
        parts.model_name,
        request_topic=parts.request_topic,
        topic=parts.windows_topic,
        keys_max=parts.limits.window_keys_max,
        read_entry=lambda record: read_request(
            record, parts.limits.request_bytes_max, parts.limits.answer_key_bytes_max
        ),
        ensure_topic=ensure_topic,
        stopping=stopping,
    )
