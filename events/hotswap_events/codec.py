"""Bytes ↔ events: one pass through msgspec, explicit type names, upcasters for what older releases wrote."""

from collections.abc import Callable, Mapping
from functools import reduce
from hashlib import sha256
from typing import Any, Union, final

import msgspec
from msgspec import Struct

from hotswap_events.envelope import Envelope, EnvelopeHeader
from hotswap_events.log_stream import LOG_EVENT_TYPES
from hotswap_events.nesting import NESTING_MAX, SHALLOW_BYTES_MAX, nests_too_deep
from hotswap_events.registry.events import EVENT_TYPES, IGNORABLE_EVENTS

Upcaster = Callable[[Any], Struct]
"""Old event data → the data of its successor type. Pure; chained until no upcaster is left for the result's class."""


@final
class UnknownEvent(Struct, frozen=True, gc=False):
    """The envelope reads, its type name does not: a newer release wrote it. It still extends its stream."""

    header: EnvelopeHeader


@final
class UnreadableEvent(Struct, frozen=True, gc=False):
    """Not an event: void for every reader."""

    cause: str


_UNREADABLE = (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError)

Decoded = Envelope | UnknownEvent | UnreadableEvent


def digest_of(value: bytes) -> str:
    """Return the SHA-256 of an event's value bytes, hex: what the next event of the stream carries as `previous`."""
    return sha256(value).hexdigest()


class Codec:
    """Encodes and decodes one family of events.

    `event_types` maps stored type names to classes; `upcasters` maps a class that is no longer written to the function
    that turns its instances into those of its successor.
    """

    def __init__(
        self,
        event_types: Mapping[str, type[Struct]],
        upcasters: Mapping[type[Struct], Upcaster] | None = None,
    ) -> None:
        self._upcasters = dict(upcasters or {})
        self._envelopes: dict[type[Struct], type[Envelope]] = {
            data_type: msgspec.defstruct(  # type: ignore[misc]
                f"{data_type.__name__}Envelope",
                [("data", data_type)],
                bases=(Envelope,),
                frozen=True,
                kw_only=True,
                omit_defaults=True,
                tag_field="type",
                tag=type_name,
                gc=False,
            )
            for type_name, data_type in event_types.items()
        }
        self.type_names: dict[type[Struct], str] = {data_type: name for name, data_type in event_types.items()}
        self.envelope_types: tuple[type[Envelope], ...] = tuple(self._envelopes.values())
        union = reduce(lambda left, right: Union[left, right], self.envelope_types)  # type: ignore[arg-type,return-value] # noqa: UP007
        self._decoder: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(union)
        self._header_decoder = msgspec.json.Decoder(EnvelopeHeader)
        self._encoder = msgspec.json.Encoder()

    def envelope(self, data: Struct, **attributes: Any) -> Envelope:
        """Wrap event data; `attributes` are the envelope's fields. Raise KeyError for data of an unregistered class."""
        ignorable = attributes.pop("ignorable", type(data) in IGNORABLE_EVENTS)
        return self._envelopes[type(data)](
            specversion="1.0", datacontenttype="application/json", data=data, ignorable=ignorable, **attributes
        )

    def encode(self, envelope: Envelope) -> bytes:
        """Return the value bytes to store. Their SHA-256 is what the stream's next event names."""
        return self._encoder.encode(envelope)

    def decode(self, value: bytes | None) -> Decoded:
        """Read a stored value. Never raises: what cannot be read comes back as a value that says why."""
        if value is not None and len(value) > SHALLOW_BYTES_MAX and nests_too_deep(value):
            return UnreadableEvent(f"nests deeper than {NESTING_MAX} objects and arrays")
        try:
            envelope = self._decoder.decode(value)  # type: ignore[arg-type]
        except _UNREADABLE as error:
            return self._decode_other(value, error)
        if self._upcasters and type(envelope.data) in self._upcasters:
            return self._upcast(envelope)
        return envelope

    def _decode_other(self, value: bytes | None, error: Exception) -> UnknownEvent | UnreadableEvent:
        if value is None:
            return UnreadableEvent("null value: the registry log holds no tombstones")
        try:
            header = self._header_decoder.decode(value)
        except _UNREADABLE as header_error:
            return UnreadableEvent(f"not a CloudEvents envelope of this log: {header_error}")
        if header.type in self.type_names.values():
            return UnreadableEvent(f"data does not fit {header.type}: {error}")
        return UnknownEvent(header)

    def _upcast(self, envelope: Envelope) -> Envelope:
        data = envelope.data
        while (upcaster := self._upcasters.get(type(data))) is not None:
            data = upcaster(data)
        attributes = {
            name: getattr(envelope, name)
            for name in Envelope.__struct_fields__
            if name not in ("specversion", "datacontenttype", "data")
        }
        return self.envelope(data, **attributes)

    def type_name(self, data: Struct) -> str:
        """Return the stored type name of event data."""
        return self.type_names[type(data)]


ALL_EVENT_TYPES: dict[str, type[Struct]] = {**EVENT_TYPES, **LOG_EVENT_TYPES}
"""Stored type name → class, of models and of the log itself."""

REGISTRY_CODEC = Codec(ALL_EVENT_TYPES)
"""The codec of `hotswap.registry`."""
