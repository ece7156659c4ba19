"""The context that `--context` names: apart from all others, as who asks for help waits for what is imported."""

from contextvars import ContextVar

chosen: ContextVar[str | None] = ContextVar("context", default=None)
"""Its name; None: that of the file, if any."""
