"""Where a worker goes on in a partition that it was given."""

import pytest

from hotswap_stream.workers.inference.places.checkpoint import resume_offset


@pytest.mark.parametrize(
    ("committed", "last_answered", "wanted"),
    [
        (None, None, 10),  # nothing is known: all that is there
        (20, None, 20),
        (None, 20, 21),  # the answer itself says that the request is done
        (30, 20, 30),  # a zombie's late answers have low offsets
        (20, 30, 31),  # the commit lags behind the answers
        (3, 4, 10),  # what was deleted is not asked for
        (10, 9, 10),
        (50, None, 50),
        (None, 49, 50),
        (51, None, 50),  # the topic was made anew, and is shorter
        (None, 99, 50),
    ],
)
def test_where_to_go_on(committed: int | None, last_answered: int | None, wanted: int) -> None:
    assert resume_offset(committed=committed, last_answered=last_answered, begin=10, end=50) == wanted
