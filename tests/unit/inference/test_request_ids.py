"""The window of request ids."""

from hotswap_stream.workers.inference.requests.ids import RequestIds


def test_a_repeated_id_is_found_with_the_first_ones_offset() -> None:
    ids = RequestIds(10)
    assert ids.remember(0, 5, "a") is None
    assert ids.remember(0, 6, "b") is None
    assert ids.remember(0, 7, "a") == 5
    assert ids.remember(0, 8, "a") == 5
    assert ids.remember(1, 7, "a") is None


def test_a_request_read_again_is_no_copy_of_itself() -> None:
    ids = RequestIds(10)
    assert ids.remember(0, 5, "a") is None
    assert ids.remember(0, 5, "a") is None
    assert ids.remember(0, 6, "a") == 5
    ids.forget()
    assert ids.remember(0, 6, "a") is None


def test_at_least_the_window_is_remembered_and_at_most_twice_as_much() -> None:
    ids = RequestIds(100)
    for offset in range(1_000):
        assert ids.remember(0, offset, str(offset)) is None
    assert all(ids.remember(0, 1_000, str(offset)) == offset for offset in range(901, 1_000))
    assert ids.remember(0, 1_000, "799") is None


def test_no_window_finds_nothing() -> None:
    ids = RequestIds(0)
    assert ids.remember(0, 1, "a") is None
    assert ids.remember(0, 2, "a") is None
