"""Clients: `TopicClient` and `BlockingTopicClient` ask models by Kafka, the registry clients speak HTTP.

Needs the base install only. Tensors may be nested lists, numpy arrays or torch tensors; outputs are numpy arrays where
numpy is installed, else nested lists.
"""

from hotswap_stream.application.inference.gateway import (
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.client.blocking import BlockingTopicClient
from hotswap_stream.client.errors import InferenceRefusedError, RefusedError
from hotswap_stream.client.http_client import AsyncRegistryClient, RegistryClient
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.topic_client import TopicClient

__all__ = [
    "AsyncRegistryClient",
    "BlockingTopicClient",
    "Inference",
    "InferenceRefusedError",
    "InferenceTimeoutError",
    "InferenceUnavailableError",
    "NoModelTopicsError",
    "RefusedError",
    "RegistryClient",
    "RequestTooLargeError",
    "TopicClient",
]
