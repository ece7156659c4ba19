"""Commands that the product decides by itself, under ids that nobody can use up beforehand.

Whoever decides names its command by what it decides on, which is known to all who read the log. Here that name becomes
an id that hangs on a secret of this process: the same for the same decision, so that a command whose append was not
confirmed is not applied twice by this process, and to be guessed by nobody. That two processes which come to the same
decision make one event of it is up to the state: each such command says which state it is about (the circuit's
`since_sequence`, the rollout's step and watermark, the alert's `raised_sequence`, the promotion that is taken back),
and is refused, or changes nothing, where that has passed.
"""

import re
import secrets
from hashlib import blake2b
from typing import TypeVar

from msgspec.structs import replace

from hotswap_events.command import Command
from hotswap_stream.domain.reserved import OWN_IDS

_SECRET = secrets.token_bytes(32)

_C = TypeVar("_C", bound=Command)


def own_id(name: str, secret: bytes = _SECRET) -> str:
    """Return the id of the command that is named so by what it decides on."""
    kind = re.split("[^a-z-]", name, maxsplit=1)[0][:40]
    digest = blake2b(name.encode(errors="replace"), key=secret, digest_size=16).hexdigest()
    return f"{OWN_IDS}{kind}/{digest}"


def as_own(command: _C, secret: bytes = _SECRET) -> _C:
    """Return the command under an id of its own."""
    return replace(command, command_id=own_id(f"{command.command_id}\0{command.model_name}", secret))
