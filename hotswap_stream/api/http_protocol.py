"""uvicorn's faster HTTP/1.1 protocol, with a limit on the head of a request, which it does not have by itself."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 32_768
"""Of request line and headers. What arrives in one piece with the bytes that exceed it is still received."""


class LimitedHttpToolsProtocol(HttpToolsProtocol):
    """Answers 400 to a head that is too large, and closes the connection."""

    _head_open = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self._ends_in_time(data):
                self.send_400_response(f"The head of a request may have {HEAD_BYTES_MAX} bytes.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Of httptools."""
        self._head_open, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Of httptools."""
        self._head_open = False
        super().on_headers_complete()

    def _ends_in_time(self, data: bytes) -> bool:
        """Whether it was the body that made the piece large."""
        before = self._head_bytes - len(data)
        return 0 <= data.find(b"\r\n\r\n") <= HEAD_BYTES_MAX - before
