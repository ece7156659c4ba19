"""Clients: `TopicClient` and `BlockingTopicClient` ask models by Kafka, the registry clients speak HTTP.

`publish` makes a version of a model where it was made; it needs the extra `publish`. All else needs the base install
only. Tensors may be nested lists, numpy arrays or torch tensors; outputs are numpy arrays where
numpy is installed, else nested lists.
"""

from hotswap_stream.application.inference.gateway import (
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.client.blocking import BlockingTopicClient
from hotswap_stream.client.errors import ApiUnreachableError, InferenceRefusedError, RefusedError
from hotswap_stream.client.http_client import AsyncRegistryClient, RegistryClient
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.publishing.differences import Difference
from hotswap_stream.client.publishing.errors import PublishError
from hotswap_stream.client.publishing.publish import Published, publish, publish_async
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.client.topic_commands import CommandTimeoutError, TopicCommands

__all__ = [
    "ApiUnreachableError",
    "AsyncRegistryClient",
    "BlockingTopicClient",
    "CommandTimeoutError",
    "Difference",
    "Inference",
    "InferenceRefusedError",
    "InferenceTimeoutError",
    "InferenceUnavailableError",
    "NoModelTopicsError",
    "PublishError",
    "Published",
    "RefusedError",
    "RegistryClient",
    "RequestTooLargeError",
    "TopicClient",
    "TopicCommands",
    "publish",
    "publish_async",
]
