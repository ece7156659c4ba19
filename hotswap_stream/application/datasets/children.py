"""Datasets built on request of the API, each in a process of its own: reading a long log holds up no request."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder
from hotswap_stream.application.datasets.view import BuiltDataset
from hotswap_stream.application.processes.tether import tethered
from hotswap_stream.errors import HotswapError

BUILDS_MAX = 1
STOP_SECONDS_MAX = 15.0
SAID_BYTES_MAX = 64 * 1024
_ERROR_CHARACTERS_MAX = 2_000


class DatasetBusyError(HotswapError):
    """As many datasets as allowed are being built."""

    retriable = True


class OrderedBuild(Struct, frozen=True, kw_only=True):
    """What the process reads from standard input."""

    model_name: str
    order: DatasetOrder
    command: dict[str, Any]
    """Actor, command id and the other fields common to all commands."""


class DatasetChildren:
    """Starts `command` once per dataset; ends what still runs on `stop`."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._command = list(command)
        self._environment = environment
        self._running: set[asyncio.subprocess.Process] = set()

    async def build(self, ordered: OrderedBuild) -> BuiltDataset:
        """Return when the dataset is recorded.

        Raises:
            DatasetBusyError: As many datasets as allowed are being built.
            DatasetError: It cannot be built; the message says why.
        """
        if len(self._running) >= BUILDS_MAX:
            raise DatasetBusyError("a dataset is being built here; try again when it is done")
        process = await asyncio.create_subprocess_exec(
            *tethered(self._command, os.getpid()),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=SAID_BYTES_MAX,
        )
        self._running.add(process)
        try:
            said, error = await process.communicate(msgspec.json.encode(ordered) + b"\n")
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        finally:
            self._running.discard(process)
        if process.returncode:
            last = error.decode(errors="replace").strip().rpartition("error: ")[2]
            raise DatasetError(last[-_ERROR_CHARACTERS_MAX:] or f"the build ended with {process.returncode}")
        return msgspec.json.decode(said, type=BuiltDataset)

    async def stop(self) -> None:
        """End what is left."""
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await process.wait()
            with suppress(ProcessLookupError):
                process.kill()
