"""What a request brings for a window: a function of its record and the rule alone, so read again it is the same.

Not asked are the clock, what is loaded, and what is switched off: a request may be refused, and its steps count.
"""

from typing import TypeAlias

import numpy as np
from msgspec import Struct

from hotswap_events.inference.windows import WindowRule
from hotswap_stream.application.artifacts.manifest import WINDOW_STEPS_MAX, TensorSpec
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import Array, WrongInputError, read_tensor

SERIES_KEY_BYTES_MAX = 256


class Taken(Struct, gc=False):
    """What was kept of a request's series right after it."""

    rule: WindowRule
    steps: Array
    """The latest ones, oldest first: [steps, features]."""
    duplicate_of: int | None = None
    """The offset of an earlier request with the same id: this one brought nothing."""


class NotTaken(Struct, frozen=True, gc=False):
    """Why a request brought no steps."""

    reason: str


WindowSteps: TypeAlias = Taken | NotTaken | None
"""What a request brought for a window; None: it is no request, or no windows are kept."""


def series_key(request: Request) -> bytes:
    """Return whose steps they are. Raise WrongInputError if nothing says so, or the key is too long."""
    headers = request.headers
    key = request.record.key if headers is None or headers.routing_key is None else headers.routing_key.encode()
    if not key:
        raise WrongInputError(
            "the model takes a window of steps, and nothing says of which series: name it in the header "
            "hotswap-routing-key, or as the record's key"
        )
    if len(key) > SERIES_KEY_BYTES_MAX:
        raise WrongInputError(f"the series' key has {len(key)} bytes; at most {SERIES_KEY_BYTES_MAX} are allowed")
    return key


def new_steps(request: Request, rule: WindowRule) -> Array:
    """Return the steps a request brings: [steps, features]. Raise WrongInputError if they do not fit the rule."""
    tensors = [tensor for tensor in request.body.inputs if tensor.name == rule.input]
    if len(tensors) != 1:
        given = [tensor.name for tensor in request.body.inputs]
        raise WrongInputError(f"inputs are {given}; {rule.input!r}, with the newest steps, is needed once")
    tensor = tensors[0]
    shape = tensor.shape[1:] if len(tensor.shape) == 3 and tensor.shape[0] == 1 else tensor.shape
    if len(shape) != 2 or shape[1] != rule.features or not 1 <= shape[0] <= WINDOW_STEPS_MAX:
        raise WrongInputError(
            f"input {rule.input!r} has shape {tensor.shape}; the newest steps are needed, as [steps, {rule.features}] "
            f"or [1, steps, {rule.features}] with 1 to {WINDOW_STEPS_MAX} steps"
        )
    spec = TensorSpec(name=rule.input, datatype=rule.datatype, shape=(-1,) * len(tensor.shape))
    array = read_tensor(spec, tensor, rule.allow_non_finite, rows_max=WINDOW_STEPS_MAX)
    return np.reshape(array, (shape[0], rule.features))
