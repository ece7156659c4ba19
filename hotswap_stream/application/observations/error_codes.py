"""Whose fault an error answer is: rollouts judge a version by its own, alerts watch those of the whole server."""

from hotswap_events.inference.messages import ErrorCode

ERRORS_OF_THE_VERSION: tuple[ErrorCode, ...] = ("model-failure", "version-unavailable", "circuit-open")
"""Error codes that count against the version. The others are the caller's, and happen with every version."""

ERRORS_OF_THE_SERVER: tuple[ErrorCode, ...] = (*ERRORS_OF_THE_VERSION, "no-active-version", "deadline-expired")
"""Error codes that count in an error rate: the version failed, there was none, or the request waited too long. The
others are the caller's, or, `model-disabled`, somebody's will."""
