"""What the OpenAPI document says of operations, where Litestar cannot tell by itself."""

from dataclasses import dataclass
from typing import ClassVar

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityRequirement,
)
from litestar.openapi.spec.enums import OpenAPIFormat
from msgspec import Struct

from hotswap_stream.api.protocol.document_schemas import REFERENCE
from hotswap_stream.application.inference.binary_tensors import HEADER_LENGTH, WireRequest

KEY_OR_NONE: list[SecurityRequirement] = [{"ApiKey": []}, {"Bearer": []}]
"""A key is needed, unless the server is open to whoever asks."""

_BYTES = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
_HEADER_LENGTH = Parameter(
    name=HEADER_LENGTH,
    param_in="header",
    required=False,
    schema=Schema(type=OpenAPIType.INTEGER, minimum=0),
    description="How many bytes the JSON has, where raw tensors follow it.",
)


@dataclass
class OptionalBodyOperation(Operation):
    """The body may be left out."""

    def __post_init__(self) -> None:
        if self.request_body is not None and hasattr(self.request_body, "required"):
            self.request_body.required = False


@dataclass
class TensorBodyOperation(Operation):
    """The body is read by hand, because tensors may follow its JSON."""

    body_type: ClassVar[type[Struct]] = WireRequest

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            description="An inference request of the Open Inference Protocol v2: hotswap.infer-request.schema.json. "
            "With the binary tensor extension, raw tensors follow the JSON, and the header "
            "Inference-Header-Content-Length says how many bytes the JSON has.",
            content={
                "application/json": OpenAPIMediaType(schema=Reference(ref=f"{REFERENCE}{self.body_type.__name__}")),
                "application/octet-stream": _BYTES,
            },
        )
        self.parameters = [*(self.parameters or ()), _HEADER_LENGTH]
        answer = (self.responses or {}).get("200")
        if isinstance(answer, OpenAPIResponse) and answer.content is not None:
            answer.description = "The model's answer; with raw tensors after its JSON where they were asked for"
            answer.content["application/octet-stream"] = _BYTES


@dataclass
class BytesBodyOperation(Operation):
    """The body is the bytes of a file, read by hand because they are never in memory at once."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            description="The bytes as they are.",
            content={
                "application/octet-stream": _BYTES,
            },
        )
