"""Waiting for a model's first version: it was perhaps promoted and not read here yet, or it is being loaded."""

import asyncio
import threading

from confluent_kafka import Consumer

from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.loop.parts import LoopParts

TURN_SECONDS = 0.02


def has_version(
    parts: LoopParts,
    loop: asyncio.AbstractEventLoop,
    stopping: threading.Event,
    consumer: Consumer,
    intake: Intake,
) -> bool:
    """Wait, while no version serves, until one does or it is clear that none will. For a thread that is not `loop`'s.

    The consumer stays in its group meanwhile, and brings no requests.

    Returns:
        False when the requests that wait for the version were dropped meanwhile, or after the stop.
    """
    partitions = intake.partitions(intake.positions)
    assignments = intake.assignments
    consumer.pause(partitions)
    decided = asyncio.run_coroutine_threadsafe(parts.host.version_decided(), loop)
    while not decided.done():
        if stopping.is_set():
            decided.cancel()
            return False
        parts.signs.rest()
        intake.take_one(TURN_SECONDS)
        if assignments != intake.assignments:
            decided.cancel()
            return False
    decided.result()
    consumer.resume(partitions)
    return bool(intake.entries)
