"""uvicorn's faster HTTP/1.1 protocol, with what it lacks.

An offer to upgrade is declined without losing the body; heads, bodies and answers have a time limit; heads and
pipelines have a size limit; and trailers are no headers.
"""

from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hotswap_stream.api.protocol.connections import ConnectionLimits, Connections, client_address
from hotswap_stream.api.protocol.problems import ProblemError, encoded_problem

HEAD_BYTES_MAX = 32_768
"""Most bytes of request line and headers. What arrives in one piece with the bytes above it is still received."""
PIPELINED_REQUESTS_MAX = 64
"""Requests of a connection that wait for the answer to an earlier one."""
UNREAD_BODY_SECONDS_MAX = 5.0
"""How long the rest of a body is taken and thrown away after the request was answered."""

_CODES = {408: "too-slow", 503: "too-many-connections"}
_UPGRADING = (b"upgrade", b"http2-settings")


class ServerConfig(uvicorn.Config):
    """uvicorn's, with the connections that all protocols of the server have in common."""

    def __init__(self, app: Any, *, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(app, http=BoundedHttpProtocol, **options)
        self.open_connections = Connections(limits)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Answer 400 to a head that is too large and 408 to what takes too long, and close.

    An upgrade is an offer that a server may pass over (RFC 9110, 7.8), and the body belongs to the request all the
    same. httptools takes it for accepted and stops after the head; so the head is parsed once more without the offer.
    """

    config: ServerConfig
    transport: Any
    flow: FlowControl

    _head_open = True
    _head_bytes = 0
    _body_bytes = 0
    """Length of the body of the request that is read."""
    _asked = False
    """Whether some of a request is there that has no answer yet."""
    _broken = False
    """Whether nothing more is read, because it is no HTTP."""
    _reading: str = "head"
    """`nothing` between requests, `head`, `body`, or `answered-body` (of a request that has its answer already)."""
    _reading_since = 0.0
    _writing_stopped_at: float | None = None
    _declined: bytes | None = None
    """The head of a request that offered an upgrade, without the offer."""
    _running: RequestResponseCycle | None = None
    address = "unknown"

    def connection_made(self, transport: Any) -> None:
        """Take a place among the connections, or refuse; asyncio calls it."""
        super().connection_made(transport)
        self._reading_since = self.loop.time()
        self.address = client_address(self.client[0] if self.client else None)
        no_place = self.config.open_connections.add(self)
        if no_place is not None:
            self.end(503, no_place)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place, and tell whoever answers a request of this connection; asyncio calls it."""
        self.config.open_connections.remove(self)
        self._leave_cycles()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head is too large; asyncio calls it."""
        if self._broken or self.transport.is_closing():
            return
        self._asked = True
        if self._reading == "nothing":
            self._now_reading("head")
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self._ends_in_time(data):
                self._end_broken(f"The head of a request may have {HEAD_BYTES_MAX} bytes.")
                return
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._end_broken("Invalid HTTP request received.")

    def _end_broken(self, message: str) -> None:
        """Close, but not before requests that are there as a whole have their answers: they are carried out."""
        self._broken = True
        newest = self._newest()
        if self._reading == "body" or newest is None or newest.response_complete:
            self.end(400, message)
        else:
            newest.keep_alive = False

    def _newest(self) -> RequestResponseCycle | None:
        """Return the cycle of the request whose head came last."""
        return self.cycle

    def _feed(self, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                head, self._declined = self._declined, None
                if head is None:
                    raise httptools.HttpParserError("CONNECT is of proxies") from None
                # A new one: this one takes nothing more if the offer also said that the connection is to be closed.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                data = data[stopped.args[0] :]
            else:
                return

    def on_message_begin(self) -> None:
        """Begin to read a head; httptools calls it."""
        self._head_open, self._head_bytes = True, 0
        if self._reading != "head":
            self._now_reading("head")
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; httptools calls it, with trailers too, which nobody who looked at the headers has seen."""
        if self._head_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to read the body, or prepare the head without its offer to upgrade; httptools calls it."""
        if self.parser.should_upgrade():
            if self.parser.get_method() != b"CONNECT":
                self._declined = self._head_without_offer()
            return
        if len(self.pipeline) >= PIPELINED_REQUESTS_MAX:
            raise httptools.HttpParserError(f"more than {PIPELINED_REQUESTS_MAX} requests wait")
        self._head_open, self._body_bytes = False, 0
        self._now_reading("body")
        if not self.url.startswith(b"/"):
            self._host_of_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take more of a body; httptools calls it."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; httptools calls it."""
        if self._head_open:  # of an offer; the message comes
            return
        self._now_reading("nothing")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; the cycle that answered calls it."""
        self._asked = self._reading == "head" or bool(self.pipeline)
        if self._reading == "body" and self.cycle.response_complete:
            self._now_reading("answered-body")
        self._next_or_wait()
        if len(self.pipeline) >= PIPELINED_REQUESTS_MAX // 2:
            self.flow.pause_reading()

    def _next_or_wait(self) -> None:
        """Do as uvicorn does, without a timer for each request: `overdue` ends connections that ask nothing more."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._reading == "nothing":
            self._now_reading("nothing")  # from now on it is the client's turn

    def pause_writing(self) -> None:
        """Note since when the client takes nothing; asyncio calls it."""
        self._writing_stopped_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client takes answers again; asyncio calls it."""
        self._writing_stopped_at = None
        super().resume_writing()

    def waits_since(self) -> float | None:
        """See Connection."""
        newest = self._newest()
        busy = newest is not None and not newest.response_complete
        at_work = busy and (self._reading != "body" or newest is not self._running or self.flow.read_paused)
        return None if at_work else self._reading_since

    def overdue(self, now: float, limits: ConnectionLimits) -> str | None:
        """See Connection."""
        if self._writing_stopped_at is not None and now - self._writing_stopped_at > limits.send_seconds_max:
            return f"Nothing of an answer was taken for {limits.send_seconds_max} s."
        if self.flow.read_paused:
            self._reading_since = now
        seconds = now - self._reading_since
        if self._reading == "head" and seconds > limits.head_seconds_max:
            return f"The head of a request must arrive within {limits.head_seconds_max} s."
        if self._reading == "body" and seconds > limits.body_seconds(self._body_bytes):
            return f"The body of a request must arrive within {limits.body_seconds_max} s."
        if self._reading == "answered-body" and seconds > UNREAD_BODY_SECONDS_MAX:
            return f"The request was answered {UNREAD_BODY_SECONDS_MAX} s ago."
        if self._reading == "nothing" and self.waits_since() is not None and seconds > self.timeout_keep_alive:
            return "Nothing was asked."
        return None

    def end(self, status: int, message: str) -> None:
        """See Connection."""
        if self.transport.is_closing():
            return
        silent = status == 408 and not self._asked  # a request sent just now would take it for its answer
        if self._writing_stopped_at is not None:
            self.transport.abort()
        elif not silent and not self._answer_begun():
            retry = {"Retry-After": "1"} if status == 503 else {}
            problem = ProblemError(status, _CODES.get(status, "bad-request"), message, headers=retry)
            _, fields, body = encoded_problem(self._path(), problem)
            fields |= {"content-length": str(len(body)), "connection": "close"}
            head = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
            self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + body)
        self._leave_cycles()
        self.transport.close()

    def _path(self) -> str:
        """Return the path that is asked, as far as that is known."""
        newest = self._newest()
        return "" if newest is None or newest.response_complete else str(newest.scope["path"])

    def _answer_begun(self) -> bool:
        """Return whether more bytes would pass for a part of an answer, or for the answer to an earlier request."""
        cycle = self._newest()
        if cycle is None or cycle.response_complete:
            return False
        return cycle is not self._running or cycle.response_started or self._head_open

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _leave_cycles(self) -> None:
        for cycle in (self._running, self._newest(), *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _now_reading(self, what: str) -> None:
        self._reading, self._reading_since = what, self.loop.time()

    def _head_without_offer(self) -> bytes:
        """Return the same head as the parser would write it, without what belongs to the offer."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(
                    option for option in map(bytes.strip, value.split(b",")) if option.lower() not in _UPGRADING
                )
            if name not in _UPGRADING and (value or name != b"connection"):
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _host_of_target(self) -> None:
        """Take the name in a target like `http://name/path` for the host, as RFC 9112 (3.2.2) says."""
        target = httptools.parse_url(self.url)
        if target.host:
            port = b":%d" % target.port if target.port else b""
            others = [(name, value) for name, value in self.headers if name != b"host"]
            self.headers[:] = [(b"host", target.host + port), *others]

    def _ends_in_time(self, data: bytes) -> bool:
        """Return whether it was the body that made the piece large."""
        before = self._head_bytes - len(data)
        return 0 <= data.find(b"\r\n\r\n") <= HEAD_BYTES_MAX - before
