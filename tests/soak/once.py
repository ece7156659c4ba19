"""Models beside the tortured one: whether each of their requests has exactly one valid answer, in order."""

from hotswap_events.inference.answers import AnswerRule, AnswerTags
from hotswap_events.topics import Topics
from tests.torture.findings import Findings
from tests.torture.topic_reading import TopicReader, headers_of


def judge_once(bootstrap_servers: str, prefix: str, model_name: str, findings: Findings) -> tuple[int, int]:
    """Read both topics of a model from their beginning; how many requests, and how many void answers.

    Raises:
        TopicUnreadableError: That cannot be done.
    """
    topics, tags = Topics(prefix), AnswerTags(prefix).of(model_name)
    requests = void = 0
    with TopicReader(bootstrap_servers) as reader:
        asked, answered = topics.requests(model_name), topics.responses(model_name)
        for partition in range(reader.partition_count(asked)):
            count, expected = reader.end_offset(asked, partition), 0
            rule = AnswerRule(partition, tags)
            for message in reader.records(answered, partition, reader.end_offset(answered, partition)):
                headers = rule.take(headers_of(message))
                if headers is None:
                    continue
                where = f"{model_name} {partition}"
                if headers.request_offset != expected:
                    findings.add("passed-over", f"{where}: {expected}…{headers.request_offset - 1}")
                if not headers.ok:
                    findings.add("error-answer", f"{where}/{headers.request_offset}")
                expected = headers.request_offset + 1
            if expected != count:
                findings.add("unanswered", f"{model_name} {partition}: {expected}…{count - 1}")
            requests += count
            void += rule.void
    return requests, void
