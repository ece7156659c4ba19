"""What is needed to compute a recorded answer again."""

from typing import TYPE_CHECKING, Any

import msgspec

from hotswap_events.inference.answers import read_answer
from hotswap_events.inference.messages import InferError, InferResponse
from hotswap_stream.adapters.kafka.inference.recorded import Exchange, read_exchange
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.audit.reproduce import NotReproducibleError
from hotswap_stream.bootstrap.environment import answer_tags, connection, topics
from hotswap_stream.bootstrap.workers import model_loader
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.models.by_kind import LoaderByKind
    from hotswap_stream.application.swap.loader import Arrays


class RecordedAnswer:
    """An answer that a model computed, and the request that it answers."""

    def __init__(self, response: InferResponse, exchange: Exchange) -> None:
        self.response = response
        self._exchange = exchange

    def inputs(self, manifest: ArtifactManifest) -> "Arrays":
        """Return the request's inputs as a worker would read them.

        Raises:
            NotReproducibleError: The request cannot be read, or does not fit the model.
        """
        from hotswap_stream.workers.inference.requests.records import RequestRecord
        from hotswap_stream.workers.inference.requests.requests import Unreadable, read_request
        from hotswap_stream.workers.inference.requests.tensors import WrongInputError, read_inputs

        found = self._exchange.request
        record = RequestRecord(
            found.topic, found.partition, found.offset, found.timestamp, found.key, found.value, list(found.headers)
        )
        request = read_request(record, len(found.value or b""))
        if isinstance(request, Unreadable):
            raise NotReproducibleError(f"the request cannot be read: {request.reason}")
        try:
            return read_inputs(manifest, request.body.inputs)
        except WrongInputError as error:
            raise NotReproducibleError(f"the request does not fit the model: {error}") from error


async def recorded_answer(settings: Settings, model_name: str, *, partition: int, offset: int) -> RecordedAnswer:
    """Find the request at this place of the model's requests, and the answer to it that counts.

    Raises:
        ExchangeNotFoundError: One of the two is not there.
        NotReproducibleError: The answer is a refusal, or cannot be read.
    """
    exchange = await read_exchange(
        connection(settings).client_options(),
        topics(settings),
        model_name,
        partition=partition,
        offset=offset,
        tags=answer_tags(settings),
    )
    return RecordedAnswer(_response(exchange), exchange)


def exact_loader(settings: Settings) -> "LoaderByKind":
    """Return what loads a version with a named executor; `close` it."""
    return model_loader(settings, tries=False)


def _response(exchange: Exchange) -> InferResponse:
    headers = read_answer(exchange.answer.headers)
    codec: Any = msgspec.msgpack if headers is not None and headers.raw else msgspec.json
    try:
        if headers is None or not headers.ok:
            error = codec.decode(exchange.answer.value, type=InferError)
            raise NotReproducibleError(f"the request was refused, nothing was computed: {error.error_code}")
        response: InferResponse = codec.decode(exchange.answer.value, type=InferResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise NotReproducibleError(f"the answer cannot be read: {error}") from error
    return response
