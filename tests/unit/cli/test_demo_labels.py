"""Labels that come back in the demo: of a part of the answers, each once, and all of them before it ends."""

from collections.abc import Sequence

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.observation import Feedback
from hotswap_events.topics import Topics
from hotswap_stream.cli.demo.labels import LABELLED, telling_labels
from hotswap_stream.cli.demo.traffic import Seen, Traffic


class _Log:
    def __init__(self) -> None:
        self.written: list[Feedback] = []

    async def append(self, records: Sequence[Feedback]) -> None:
        self.written.extend(records)


def _seen(request_offset: int) -> Seen:
    return Seen(
        partition=request_offset % 4,
        request_offset=request_offset,
        user=1,
        model_version="v1",
        label=3,
        true_label=4,
        registry_offset=0,
        appended_ms=0,
        stands_in=False,
    )


async def test_most_answers_get_their_true_label_once() -> None:
    log, answers = _Log(), [_seen(number) for number in range(2_000)]
    traffic = Traffic({}, Topics("demo"), "digits", [], partitions=4, rate_per_second=1.0, tags=AnswerTags("demo"))
    async with telling_labels(traffic, log, "digits", "demo") as labels:
        for answer in answers:
            traffic.tell(answer)
    assert labels.told == len(log.written)
    assert abs(labels.told / len(answers) - LABELLED) < 0.05
    assert {record.label for record in log.written} == {4}
    assert len({record.feedback_id for record in log.written}) == labels.told
    traffic.tell(_seen(2_001))
    assert labels.told == len(log.written)
