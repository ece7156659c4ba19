"""Who met which version: what the demo says of its users."""

from hotswap_stream.cli.demo.loyalty import users_of_two, users_sent_back
from hotswap_stream.cli.demo.traffic import Seen


def seen(user: int, version: str, registry_offset: int, *, stands_in: bool = False) -> Seen:
    return Seen(
        partition=0,
        request_offset=0,
        user=user,
        model_version=version,
        label=1,
        true_label=1,
        registry_offset=registry_offset,
        appended_ms=0,
        stands_in=stands_in,
    )


def test_users_who_stay_are_not_named() -> None:
    answers = [seen(1, "v1", 5), seen(2, "v2", 5), seen(1, "v1", 5), seen(1, "v2", 9), seen(2, "v2", 9)]
    assert users_of_two(answers) == set()
    assert users_sent_back(answers, "v2") == set()


def test_two_versions_at_one_split_are_seen() -> None:
    answers = [seen(1, "v1", 5), seen(2, "v2", 5), seen(1, "v2", 5)]
    assert users_of_two(answers) == {1}


def test_who_loses_the_candidate_is_seen_in_whatever_order_the_answers_were_read() -> None:
    answers = [seen(1, "v1", 9), seen(1, "v2", 5), seen(2, "v1", 5), seen(2, "v2", 9)]
    assert users_sent_back(answers, "v2") == {1}


def test_a_version_that_stands_in_says_so_itself() -> None:
    answers = [seen(1, "v2", 5), seen(1, "v1", 5, stands_in=True), seen(1, "v1", 9, stands_in=True)]
    assert users_of_two(answers) == set()
    assert users_sent_back(answers, "v2") == set()
