"""Asking models by way of Kafka: a request into a topic, the answer out of another."""

import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferError
from hotswap_events.inference.observation import Feedback, TrueValue
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway
from hotswap_stream.adapters.kafka.observations.feedback_log import KafkaFeedbackLog
from hotswap_stream.application.inference.gateway import Beside
from hotswap_stream.client.errors import InferenceRefusedError
from hotswap_stream.client.inference import Inference, infer_request, inference_of

TIMEOUT_S = 30.0


class TopicClient:
    """Asks any number of models; use it as an async context manager, from one event loop, by many tasks at once.

    `kafka` is `host:port` or keyword arguments of aiokafka's clients (`bootstrap_servers`, `security_protocol`, …);
    `prefix` names the environment. At most `in_flight_max` requests are in flight, more wait. `partitions`: the ones to
    use of every model; by default up to four of each model's by chance. `answers_key`: the workers'
    HOTSWAP_ANSWERS_KEY, if it is set: what carries no tag by it does not count as an answer.
    """

    def __init__(
        self,
        kafka: str | Mapping[str, Any],
        *,
        prefix: str = "hotswap",
        in_flight_max: int = 256,
        partitions: Collection[int] | None = None,
        answers_key: str | None = None,
    ) -> None:
        self._tags = AnswerTags(prefix, (answers_key or "").split())
        self._options = {"bootstrap_servers": kafka} if isinstance(kafka, str) else dict(kafka)
        self._topics = Topics(prefix)
        self._in_flight_max = in_flight_max
        self._partitions = partitions
        self._gateway: KafkaInferenceGateway | None = None
        self._feedback: KafkaFeedbackLog | None = None

    async def __aenter__(self) -> Self:
        self._gateway = KafkaInferenceGateway(
            self._options,
            self._topics,
            in_flight_max=self._in_flight_max,
            partitions=self._partitions,
            tags=self._tags,
        )
        self._feedback = KafkaFeedbackLog(self._options, self._topics)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gateway, self._gateway = self._gateway, None
        feedback, self._feedback = self._feedback, None
        if feedback is not None:
            await feedback.close()
        if gateway is not None:
            await gateway.close()

    async def infer(
        self,
        model_name: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        id: str | None = None,  # noqa: A002  # the protocol's word
        partition: int | None = None,
        timeout_s: float = TIMEOUT_S,
        routing_key: str | None = None,
        model_version: str | None = None,
        traceparent: str | None = None,
        deadline_s: float | None = None,
    ) -> Inference:
        """Ask a model once.

        Args:
            model_name: The model to ask.
            inputs: Its inputs by name: arrays, tensors or nested lists. The first dimension of each is the batch.
            outputs: The outputs that are wanted; all where none is named.
            id: The request's id, which comes back with the answer.
            partition: The partition to send it to; by default the one with the fewest requests in flight.
            timeout_s: How long to wait for the answer, in seconds.
            routing_key: Whom the request is for.
            model_version: This version must answer, in production or not.
            traceparent: W3C trace context.
            deadline_s: Seconds after which the request is refused, not answered; by default `timeout_s`.

        Raises:
            InferenceRefusedError: The answer is an error answer.
            InferenceTimeoutError: No answer came in time.
            NoModelTopicsError: The model has no topics.
            InferenceUnavailableError: Kafka cannot be reached, or refused the request.
            RequestTooLargeError: The request does not fit into a record.
            ValueError: An input is no tensor, a header does not fit, or the partition is not used here.
        """
        if self._gateway is None:
            raise RuntimeError("the client is not open; use it as 'async with TopicClient(…) as client'")
        request = infer_request(inputs, outputs, id)
        started_s = time.perf_counter()
        beside = Beside(
            routing_key=routing_key, model_version=model_version, traceparent=traceparent, deadline_s=deadline_s
        )
        answer = await self._gateway.infer(
            model_name, request, raw=True, timeout_s=timeout_s, partition=partition, beside=beside
        )
        if isinstance(answer, InferError):
            raise InferenceRefusedError(answer.error_code, answer.error)
        return inference_of(answer, round((time.perf_counter() - started_s) * 1000, 3))

    async def feedback(
        self,
        model_name: str,
        *,
        request_partition: int | None = None,
        request_offset: int | None = None,
        request_id: str | None = None,
        label: int | None = None,
        reward: float | None = None,
        value: float | Sequence[float] | None = None,
        items: Sequence[int | str] = (),
        model_version: str | None = None,
        feedback_id: str | None = None,
        actor: str | None = None,
    ) -> str:
        """Say what turned out about an answer.

        Args:
            model_name: The model that answered.
            request_partition: With `request_offset` names the answer, as its facts do.
            request_offset: See there.
            request_id: Names the answer where partition and offset do not.
            label: The index of its true class.
            reward: What it was worth; higher is better.
            value: The true number, or as many as the answer's first output holds, row-major.
            items: What was chosen of what the answer ranks: indexes of its scores, or the items that it lists. At least
                one of `label`, `reward`, `value` and `items` is needed.
            model_version: The version that answered.
            feedback_id: With the same id it counts once, however often it is sent.
            actor: Who says so.

        Returns:
            The feedback's id.

        Raises:
            ValueError: Something is missing, or beyond its bounds.
            FeedbackRefusedError: The model's requests have no such partition.
            FeedbackUnavailableError: Kafka cannot be reached, or refused it.
        """
        if self._feedback is None:
            raise RuntimeError("the client is not open; use it as 'async with TopicClient(…) as client'")
        record = Feedback(
            model_name=model_name,
            feedback_id=feedback_id or uuid.uuid4().hex,
            at=datetime.now(UTC),
            request_partition=request_partition,
            request_offset=request_offset,
            request_id=request_id,
            label=label,
            reward=reward,
            value=_true_value(value),
            items=tuple(item if isinstance(item, str) else int(item) for item in items),
            model_version=model_version,
            actor=actor,
        )
        await self._feedback.append([record])
        return record.feedback_id


def _true_value(value: float | Iterable[float] | None) -> TrueValue | None:
    """Return the numbers as plain ones, whatever library they are of."""
    if value is None:
        return None
    return tuple(map(float, value)) if isinstance(value, Iterable) else float(value)
