"""Changing some settings of a topic and leaving the others alone (IncrementalAlterConfigs).

aiokafka lacks it: its `alter_configs` takes away every setting that is not named.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

_API_KEY = 44
_TOPIC = 2
_SET = 0


class _Response(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = _API_KEY
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = _API_KEY
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("configs", Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8")))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterSettings(Request[_Struct]):  # type: ignore[misc]
    API_KEY = _API_KEY

    def __init__(self, topic: str, settings: Mapping[str, str]) -> None:
        self._resources = [(_TOPIC, topic, [(name, _SET, value) for name, value in settings.items()])]

    def build(self, request_struct_class: type[_Struct]) -> Any:
        return request_struct_class(self._resources, False)


async def alter_settings(admin: AIOKafkaAdminClient, topic: str, settings: Mapping[str, str]) -> None:
    """Set these settings of a topic, and leave the others as they are. KafkaError."""
    client: Any = admin._client
    response = await client.send(client.get_random_node(), _AlterSettings(topic, settings))
    for code, message, _kind, _name in response.responses:
        if code:
            raise for_code(code)(f"{topic}: {message}")
