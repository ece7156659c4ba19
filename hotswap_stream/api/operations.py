"""What the OpenAPI document says of operations, where Litestar cannot tell by itself."""

from dataclasses import dataclass

from litestar.openapi.spec import Operation, SecurityRequirement

KEY_OR_NONE: list[SecurityRequirement] = [{"ApiKey": []}, {"Bearer": []}, {}]
"""A key is needed where the server has keys."""


@dataclass
class OptionalBodyOperation(Operation):
    """The body may be left out."""

    def __post_init__(self) -> None:
        if self.request_body is not None and hasattr(self.request_body, "required"):
            self.request_body.required = False
