"""Whether users stayed with their versions.

Answers by a version that stood in for another are left out: they say so themselves.
"""

from collections.abc import Iterable

from hotswap_stream.cli.demo.traffic import Seen


def users_of_two(seen: Iterable[Seen]) -> set[int]:
    """Return users who met two versions while the traffic was split in the same way.

    That is: the answers were chosen by the same registry event.
    """
    versions: dict[tuple[int, int], str] = {}
    return {
        answer.user
        for answer in seen
        if not answer.stands_in
        and versions.setdefault((answer.registry_offset, answer.user), answer.model_version) != answer.model_version
    }


def users_sent_back(seen: Iterable[Seen], candidate: str) -> set[int]:
    """Return users who had the candidate and met another version under a later event.

    There are none while its share only rises.
    """
    first_offset: dict[int, int] = {}
    answers = [answer for answer in seen if not answer.stands_in]
    for answer in answers:
        if answer.model_version == candidate:
            first = first_offset.get(answer.user, answer.registry_offset)
            first_offset[answer.user] = min(first, answer.registry_offset)
    return {
        answer.user
        for answer in answers
        if answer.model_version != candidate
        and answer.registry_offset > first_offset.get(answer.user, answer.registry_offset)
    }
