"""Bounds of numbers, texts and collections in messages that anybody may write.

They are far above what the product writes itself, and low enough that sums of them stay numbers: a fold that adds them
up for years stays within 64 bits, and squares of them within floating point.

Events of the log do not use them: what is stored stays readable for ever. What may become an event is checked where
the command is decided.
"""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

INT64_MAX = 2**63 - 1
PARTITION_MAX = 2**31 - 1
COUNT_MAX = 10**12
"""Things counted in one record. Nine million such records fit into 64 bits."""
MEASURE_MAX = 1e18
"""Milliseconds, summed over a record."""
REWARD_MAX = 1e30
SUM_MAX = 1e120
"""Sums of values that are cut at 1e100, over one record."""
SQUARES_MAX = 1e240
NAME_CHARACTERS_MAX = 256
TEXT_CHARACTERS_MAX = 2_000
TIME_MIN = datetime(1970, 1, 1, tzinfo=UTC)
TIME_MAX = datetime(3000, 1, 1, tzinfo=UTC)

Offset = Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""Offset of a record in its partition."""
Partition = Annotated[int, Meta(ge=0, le=PARTITION_MAX)]
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Index = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Index of a class among a model's scores."""
Milliseconds = Annotated[float, Meta(ge=0.0, le=MEASURE_MAX)]
Name = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]


def check_time(what: str, time: datetime) -> None:
    """Raise ValueError for a time that no clock of a machine shows: arithmetic with it leaves what a date can say."""
    if not TIME_MIN <= time < TIME_MAX:
        raise ValueError(f"{what} is {time.isoformat()}; a time from 1970 to 2999 is needed")
