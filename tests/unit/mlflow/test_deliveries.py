"""The memory of deliveries has an end, and what is forgotten is too old to be sent again."""

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from hotswap_stream.application.mlflow.deliveries import (
    AGE_SECONDS_MAX,
    DELIVERIES_KEPT_MAX,
    Deliveries,
    DeliveriesFullError,
    DeliveryRefusedError,
)

BODY = '{"entity": "model_version", "action": "created", "data": {}}'
SECRET = "a-secret-of-both-sides"  # noqa: S105
NOW = 1_800_000_000


def check(deliveries: Deliveries, delivery_id: str, sent_s: int, now_s: float) -> None:
    signature = _generate_hmac_signature(SECRET, delivery_id, str(sent_s), BODY)
    deliveries.checked(
        delivery_id=delivery_id, timestamp=str(sent_s), signature=signature, body=BODY.encode(), now_s=now_s
    )


def test_what_is_forgotten_is_too_old_to_be_sent_again() -> None:
    deliveries = Deliveries(SECRET)
    sent_s = int(NOW + AGE_SECONDS_MAX)  # by a clock that is as far ahead as it may be
    check(deliveries, "one", sent_s, NOW)
    deliveries.take("one", NOW)
    for later in range(0, int(3 * AGE_SECONDS_MAX), 50):
        with pytest.raises(DeliveryRefusedError):
            check(deliveries, "one", sent_s, NOW + later)


def test_more_than_are_remembered_are_refused_for_the_moment() -> None:
    deliveries = Deliveries(SECRET)
    for index in range(DELIVERIES_KEPT_MAX):
        deliveries.take(str(index), NOW)
    with pytest.raises(DeliveriesFullError):
        check(deliveries, "new", NOW, NOW)
    later = int(NOW + 2 * AGE_SECONDS_MAX + 1)
    check(deliveries, "new", later, later)
