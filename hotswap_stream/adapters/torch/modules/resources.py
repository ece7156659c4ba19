"""Giving a device's memory back when a version is unloaded."""

import threading
from collections.abc import Callable

import torch

from hotswap_stream.adapters.models import memory


def give_back(drop: Callable[[], None], device: str) -> threading.Thread:
    """Call `drop`, then return what it freed to the system and the device, in a thread."""

    def drop_there() -> None:
        drop()
        if device != "cpu":
            torch.cuda.empty_cache()

    return memory.give_back(drop_there)
