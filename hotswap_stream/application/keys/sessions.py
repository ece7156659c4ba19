"""Sessions of the page: who signed in with a key once need not show it again, for a while.

A session holds no key: it remembers which key it was and the digest of its secret, and both are held against the table
of keys at each use. So whatever ends the key, or the secret that was shown, ends the session at once. Of a session's
own id, too, only a digest is kept: the file in which sessions outlast a restart gives none away.

Servers that share the file share the sessions: each looks at every use whether another one has written since.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.application.keys.access import Access, Caller, KeyProof
from hotswap_stream.application.keys.table import NotValid
from hotswap_stream.application.keys.token import digest_of

SESSION_SECONDS_MAX = 12 * 3_600.0
"""From signing in: a working day."""
IDLE_SECONDS_MAX = 2 * 3_600.0
"""Without a request; a page that is looked at asks now and again."""
SESSIONS_MAX = 1_000
SESSIONS_PER_KEY_MAX = 50
"""One more ends the one that was used least recently."""
ID_BYTES = 32
USE_KEPT_SECONDS = 60.0
"""That a session is used is written down this often, not at each request."""

CLOCK_SECONDS_MAX = 300.0
"""How far a clock may go back before sessions that it seems to make longer are ended."""

_log = structlog.get_logger(__name__)

Ended = Literal["unknown", "expired", "revoked", "idle"]


class SessionLimits(Struct, frozen=True, kw_only=True):
    """How long sessions last, and how many there are."""

    seconds_max: float = SESSION_SECONDS_MAX
    idle_seconds_max: float = IDLE_SECONDS_MAX
    sessions_max: int = SESSIONS_MAX
    sessions_per_key_max: int = SESSIONS_PER_KEY_MAX


class Session(Struct, frozen=True, kw_only=True):
    """What is kept of one."""

    proof: KeyProof
    expires_at: datetime
    used_at: datetime


class OpenSession(Struct, frozen=True):
    """A session that is good now, and whose it is."""

    caller: Caller
    session: Session


class SessionStore(Protocol):
    """The port to where sessions outlast a restart. What goes wrong there is its own matter."""

    def read(self) -> bytes | None:
        """Return what was written last; None where there is nothing."""
        ...

    def write(self, content: bytes) -> None:
        """Put this in the place of what was written last."""
        ...

    def stamp(self) -> object | None:
        """Return what differs once anybody has written; None where there is nothing. It costs a few microseconds."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keep others who share the store from writing between a reading and a writing in the block."""
        ...


class Sessions:
    """The sessions of one server, and of those that share its store. Without a store, all end with it."""

    def __init__(self, access: Access, limits: SessionLimits | None = None, store: SessionStore | None = None) -> None:
        self.limits = limits or SessionLimits()
        self._access = access
        self._store = store
        self._stamp = None if store is None else store.stamp()
        self._sessions = self._stored() or {}
        """By the digest of the id, the one that was used least recently first."""
        self._written_at: datetime | None = None
        self._kept = True
        """Whether what was written last is there."""

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, presented: str, now: datetime) -> tuple[str, OpenSession] | NotValid:
        """Return the id of a new session of whoever shows this key, or why the key opens nothing."""
        proof = self._access.proof(presented, now)
        if isinstance(proof, str):
            return proof
        caller = self._access.caller_by(proof, now)
        if isinstance(caller, str):
            return caller
        session = Session(proof=proof, expires_at=now + timedelta(seconds=self.limits.seconds_max), used_at=now)
        session_id = secrets.token_urlsafe(ID_BYTES)
        with self._alone():
            self._make_room(proof, now)
            self._sessions[digest_of(session_id)] = session
            self._write(now)
        return session_id, OpenSession(caller, session)

    def find(self, session_id: str, now: datetime) -> OpenSession | Ended:
        """Return the session with this id, and note that it is used; or why it opens nothing any more.

        One that has ended is kept until its place is needed, so that whoever comes back is told why.
        """
        digest = digest_of(session_id)
        self._learn()
        session = self._sessions.get(digest)
        if session is None:
            return "unknown"
        if ended := self._ended(session, now):
            return ended
        caller = self._access.caller_by(session.proof, now)
        if isinstance(caller, str):
            return caller
        used = replace(session, used_at=max(now, session.used_at))
        del self._sessions[digest]
        self._sessions[digest] = used
        if self._written_at is None or now - self._written_at > timedelta(seconds=USE_KEPT_SECONDS):
            with self._alone():
                self._write(now)
        return OpenSession(caller, used)

    def end(self, session_id: str, now: datetime) -> None:
        """End the session with this id, if there is one."""
        with self._alone():
            if self._sessions.pop(digest_of(session_id), None) is not None:
                self._write(now)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other servers out of the store, and know what they wrote there."""
        with nullcontext() if self._store is None else self._store.alone():
            self._learn()
            yield

    def _learn(self) -> None:
        """Take over what another server wrote since: sessions that began there, are used there, or ended there."""
        stamp = None if self._store is None else self._store.stamp()
        if stamp is None or stamp == self._stamp:
            return
        self._stamp, found = stamp, self._stored()
        if found is None:
            return
        for digest, own in self._sessions.items():
            there = found.get(digest)
            if there is not None:
                found[digest] = replace(there, used_at=max(there.used_at, own.used_at))
            elif not self._kept:  # none of it could be written, so that it is not there says nothing
                found[digest] = own
        self._sessions = dict(sorted(found.items(), key=lambda each: each[1].used_at))

    def _write(self, now: datetime) -> None:
        self._written_at = now
        if self._store is not None:
            self._store.write(msgspec.json.encode(self._sessions))
            before, self._stamp = self._stamp, self._store.stamp()
            self._kept = self._stamp != before

    def _stored(self) -> dict[str, Session] | None:
        """Return what is in the store; None where nothing is, or nothing that can be read."""
        content = None if self._store is None else self._store.read()
        if content is None:
            return None
        try:
            found = msgspec.json.decode(content, type=dict[str, Session])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            _log.warning("sessions_passed_over", cause=str(error))
            return None
        # No file makes a session longer than it could have been, and without a zone a time is none.
        whole = {digest: each for digest, each in found.items() if each.expires_at.tzinfo and each.used_at.tzinfo}
        return dict(list(whole.items())[-self.limits.sessions_max :])

    def _ended(self, session: Session, now: datetime) -> Ended | None:
        if not now < session.expires_at <= now + timedelta(seconds=self.limits.seconds_max + CLOCK_SECONDS_MAX):
            return "expired"
        if now - session.used_at > timedelta(seconds=self.limits.idle_seconds_max):
            return "idle"
        return None

    def _make_room(self, proof: KeyProof, now: datetime) -> None:
        """Leave out what has ended; then, where one more would be too many, what was used least recently."""
        if len(self._sessions) >= self.limits.sessions_max:
            self._sessions = {
                digest: session for digest, session in self._sessions.items() if self._ended(session, now) is None
            }
        own = [digest for digest, session in self._sessions.items() if session.proof.owner == proof.owner]
        if len(own) >= self.limits.sessions_per_key_max:
            del self._sessions[own[0]]
        elif len(self._sessions) >= self.limits.sessions_max:
            held = Counter(session.proof.owner for session in self._sessions.values())
            greatest = max(held, key=held.__getitem__)
            del self._sessions[next(d for d, session in self._sessions.items() if session.proof.owner == greatest)]
