"""Webhooks that an MLflow server sends: signed with a secret that both know, not too old, and each only once."""

import base64
import hashlib
import hmac
from collections import OrderedDict
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hotswap_stream.errors import HotswapError

AGE_SECONDS_MAX = 300.0
"""Age of a delivery, by the clocks of both sides; MLflow sends one again with the time of its first attempt."""
DELIVERIES_KEPT_MAX = 10_000
"""Deliveries of the last `2 * AGE_SECONDS_MAX`; more are refused until some are too old to be sent again."""
ID_CHARACTERS_MAX = 128
SIGNATURE_VERSION = "v1"


class DeliveryRefusedError(HotswapError):
    """It does not come from the server that knows the secret, or it came before."""


class DeliveriesFullError(HotswapError):
    """More deliveries came than are remembered."""

    retriable = True


class Delivery(Struct, frozen=True, kw_only=True):
    """What MLflow says happened in its registry."""

    entity: str
    action: Literal["created", "updated", "deleted", "set"] | str
    data: dict[str, Any]


class Deliveries:
    """Those that were taken, so that nobody who listened in on one can send it once more. Used from one event loop."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._taken: OrderedDict[str, float] = OrderedDict()

    def checked(
        self, *, delivery_id: str | None, timestamp: str | None, signature: str | None, body: bytes, now_s: float
    ) -> Delivery:
        """Return what a delivery says.

        Args:
            delivery_id: As the header says.
            timestamp: In seconds since 1970, as the header says.
            signature: `v1,` and base64, as the header says.
            body: As it came.
            now_s: The time, in seconds since 1970.

        Raises:
            DeliveryRefusedError: Its signature is wrong, it is too old, it came before, or it says nothing.
            DeliveriesFullError: More came than are remembered.
        """
        if not delivery_id or not timestamp or not signature or len(delivery_id) > ID_CHARACTERS_MAX:
            raise DeliveryRefusedError("X-MLflow-Delivery-Id, X-MLflow-Timestamp and X-MLflow-Signature are needed")
        if not hmac.compare_digest(self._signature(delivery_id, timestamp, body).encode(), signature.encode()):
            raise DeliveryRefusedError("the signature is not that of HOTSWAP_MLFLOW_WEBHOOK_SECRET")
        if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
            raise DeliveryRefusedError("X-MLflow-Timestamp is no number of seconds")
        if abs(now_s - int(timestamp)) > AGE_SECONDS_MAX:
            raise DeliveryRefusedError(
                f"the delivery is of another time: {AGE_SECONDS_MAX:g} s are allowed between the clocks of both sides"
            )
        self._forget(now_s)
        if delivery_id in self._taken:
            raise DeliveryRefusedError(f"delivery {delivery_id!r} came before")
        if len(self._taken) >= DELIVERIES_KEPT_MAX:
            raise DeliveriesFullError(
                f"{DELIVERIES_KEPT_MAX} deliveries came within minutes, and no more are remembered"
            )
        try:
            return msgspec.json.decode(body, type=Delivery)
        except msgspec.DecodeError as error:
            raise DeliveryRefusedError(f"the body is no delivery of MLflow: {error}") from error

    def take(self, delivery_id: str, now_s: float) -> None:
        """Remember a delivery of which all was done."""
        self._taken[delivery_id] = now_s

    def _forget(self, now_s: float) -> None:
        while self._taken:
            delivery_id, taken_s = next(iter(self._taken.items()))
            if now_s - taken_s <= 2 * AGE_SECONDS_MAX:
                return
            del self._taken[delivery_id]

    def _signature(self, delivery_id: str, timestamp: str, body: bytes) -> str:
        signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return f"{SIGNATURE_VERSION},{base64.b64encode(digest).decode()}"
