"""The HTTP API: queries, commands, the event log paged and live, health, metrics."""

from hotswap_stream.api.app import create_app, openapi_document
from hotswap_stream.api.services import ApiServices

__all__ = ["ApiServices", "create_app", "openapi_document"]
