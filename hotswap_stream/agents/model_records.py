"""Reading records that are about one model: observations and feedback."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from hotswap_events.bounds import TIME_MAX
from hotswap_events.inference.observation import Feedback, Observation
from hotswap_events.nesting import nests_too_deep
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.domain.deciding.limits import wrong_model_name

RECORD_BYTES_MAX = 900_000
TIME_MS_MAX = round(TIME_MAX.timestamp() * 1000) - 1

R = TypeVar("R", Observation, Feedback)


async def read_model_record(record: InboundRecord, decoder: "msgspec.json.Decoder[R]", care: RecordCare) -> "R | None":
    """Decode a record whose key is the name of the model that its value is about.

    Args:
        record: As it was consumed.
        decoder: Of the topic's messages.
        care: Gets the record, with the cause, when it cannot be read.

    Returns:
        The message, or None when the record was put aside: too large, not of this form, or not of the key's model.

    Raises:
        HotswapError: Retriable. The dead letter was not confirmed; read the record again.
    """
    value = record.value
    if value is None or len(value) > RECORD_BYTES_MAX or nests_too_deep(value):
        length = "no" if value is None else len(value)
        await care.put_aside(record, f"{length} bytes: at most {RECORD_BYTES_MAX}, of JSON, are read")
        return None
    try:
        found = decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        await care.put_aside(record, str(error))
        return None
    name = found.model_name
    wrong = wrong_model_name(name)
    if wrong is None and record.key != name.encode():
        wrong = f"the record key {record.key!r} is not the model name {name!r}"
    if wrong is not None:
        await care.put_aside(record, wrong)
        return None
    return found


def appended_at(record: InboundRecord) -> datetime:
    """Return when the record was appended; a time that no clock shows is taken as the nearest that one may show."""
    at_ms = min(TIME_MS_MAX, max(0, record.timestamp_ms))
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
