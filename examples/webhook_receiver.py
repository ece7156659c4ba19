"""Receive alerts by webhook: check the signature, take each event once, and answer quickly.

    pip install standardwebhooks
    WEBHOOK_SECRET=whsec_… python examples/webhook_receiver.py 9000

and for the server: HOTSWAP_WEBHOOK_URLS=http://localhost:9000/ HOTSWAP_WEBHOOK_SECRET=whsec_… (the same).
"""

import argparse
import os
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

BODY_BYTES_MAX = 1024**2
"""No event is longer."""

IDS_MAX = 10_000
"""Events that are known by their id if they come again."""


class Receiver(ThreadingHTTPServer):
    """Calls `take` with each event once, in the order in which they come. When it raises, the event is sent again."""

    def __init__(self, address: tuple[str, int], secret: str, take: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(address, _Handler)
        self._webhook = Webhook(secret)
        self._take = take
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._turn = Lock()

    def receive(self, headers: dict[str, str], body: bytes) -> HTTPStatus:
        """Return the HTTP status to answer with."""
        try:
            # The bytes as they came: parsed and written again they would not be those that were signed.
            event = self._webhook.verify(body, headers)
        except WebhookVerificationError:
            return HTTPStatus.UNAUTHORIZED
        message_id = headers["webhook-id"]
        with self._turn:
            if message_id not in self._taken:
                self._take(event)
                self._taken[message_id] = None
                if len(self._taken) > IDS_MAX:
                    self._taken.popitem(last=False)
        return HTTPStatus.NO_CONTENT


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take one message."""
        length = int(self.headers.get("content-length") or 0)
        if not 0 <= length <= BODY_BYTES_MAX:
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return self._answer(self.server.receive(headers, self.rfile.read(length)))
        except Exception:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)  # it will be sent again
            raise

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: a URL may hold a token."""


def in_words(event: dict[str, Any]) -> str:
    """Return one line about an event."""
    data, model = event["data"], event.get("subject")
    match event["type"]:
        case "hotswap.alert.raised.v1":
            rule = data["rule"]
            return f"RAISED {rule['severity']} {model} {rule['name']}: {data['value']:g} is above {rule['above']:g}"
        case "hotswap.alert.cleared.v1":
            return f"over   {model} {data['rule_name']} ({data['cause']})"
        case other:
            return f"{other} {model or ''}".rstrip()


def main() -> None:
    """Print what comes, until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Print alerts that come by webhook.")
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    with Receiver(
        ("127.0.0.1", port), os.environ["WEBHOOK_SECRET"], lambda event: print(in_words(event), flush=True)
    ) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
