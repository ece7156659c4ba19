"""Names of Kafka record headers. Values are UTF-8 text; numbers in decimal."""

CONTENT_TYPE = "content-type"

# On requests; each may be left out.
ROUTING_KEY = "hotswap-routing-key"
"""Whom or what the request is for, such as a user's id: the same key is answered by the same version in a rollout."""
DEADLINE = "hotswap-deadline-ms"
"""Milliseconds since 1970 UTC, decimal: afterwards nobody waits for the answer, and the request is refused."""
MODEL_VERSION = "hotswap-model-version"
"""The version that must answer, in production or not; without it the one in production answers."""
MODEL_NAME = "hotswap-model-name"
"""The model the request is meant for. A topic serves one model; a request for another one is refused."""
MLSERVER_MODEL = "mlserver-model"
MLSERVER_VERSION = "mlserver-version"
"""MLServer's names for the same two."""
REPEATED_ID = "hotswap-repeated-id"
"""`allowed`: the request's id may be one that was seen before, which is refused otherwise."""
SPRING_CORRELATION_ID = "kafka_correlationId"
SPRING_REPLY_TOPIC = "kafka_replyTopic"
SPRING_REPLY_PARTITION = "kafka_replyPartition"
"""Spring's ReplyingKafkaTemplate: a copy of the answer goes to that topic (and partition: four bytes, big-endian), with
the same correlation id."""
TRACEPARENT = "traceparent"
"""W3C trace context, passed on to the answer as it is."""

# On answers.
REQUEST_OFFSET = "hotswap-request-offset"
"""Offset of the request in the partition of the same number. Answers are the checkpoint: a worker that takes over
a partition goes on after the highest one, and an answer whose request offset is not above all before it is void."""
ANSWER_TAG = "hotswap-answer-tag"
"""Sixteen hexadecimal digits that only those with the environment's key can make, over model, partition and request
offset: an answer without one is void, whoever wrote it. See `hotswap_events.inference.answers`."""
STATUS = "hotswap-status"
"""`ok` or `error`."""

# On dead letters.
DEAD_LETTER_CAUSE = "hotswap-dead-letter-cause"
ORIGIN_TOPIC = "hotswap-origin-topic"
ORIGIN_PARTITION = "hotswap-origin-partition"
ORIGIN_OFFSET = "hotswap-origin-offset"
ORIGIN_TIMESTAMP_MS = "hotswap-origin-timestamp-ms"

# On commands; all three or none.
KEY_ID = "hotswap-key-id"
"""Id of the API key that signs the command; it is part of its token."""
SIGNED_AT = "hotswap-signed-at-ms"
"""Milliseconds since 1970 UTC, decimal, by the signer's clock. A signature holds for a few minutes."""
SIGNATURE = "hotswap-signature"
"""HMAC-SHA256, 64 hexadecimal digits, over topic, key id, time and the record's value. See `hotswap_events.signing`."""

# On command results.
COMMAND_ID = "hotswap-command-id"
CORRELATION_ID = "hotswap-correlation-id"
"""The command's correlation id, or the command id where it has none."""
