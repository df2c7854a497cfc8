"""What the web server allows: how large a request may be, and whom a page may talk to."""

from __future__ import annotations

import gc
import socket
from contextvars import copy_context
from threading import Thread
from typing import Any

from costmodel.errors import UsageError
from costmodel.workbench.uploads import MAX_BYTES

LOCAL = "127.0.0.1"
THREADS = 8


def protect(server: Any, script_hashes: list[str], max_bytes: int) -> None:
    """Limit requests and let pages load and ask nothing but this server.

    Args:
        server: a Flask application.
        script_hashes: of the inline scripts that may run, as a content security policy has them.
        max_bytes: of an uploaded file; in a request it is a third larger, and something is
            around it.
    """
    server.config["MAX_CONTENT_LENGTH"] = max_bytes * 4 // 3 + 2**20
    policy = "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}",
            "style-src 'self' 'unsafe-inline'",  # plotly writes style elements
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )

    def headers(response: Any) -> Any:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    server.after_request(headers)


class Server:
    """The workbench at an address of this machine; `run` serves until `close` or an interrupt."""

    def __init__(self, host: str = LOCAL, port: int = 0, max_upload: int = MAX_BYTES) -> None:
        """Take the address, without answering yet.

        Args:
            host: address to listen on.
            port: 0 for any that is free.
            max_upload: bytes of the largest file that is taken.

        Raises:
            UsageError: if the address cannot be used.
        """
        from waitress import create_server

        from costmodel.workbench.app import create_app

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            host.encode("idna")  # as the socket does, which says less when it fails
            taken = socket.create_server((host, port), family=family)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"cannot serve on {host}:{port}: {reason}; try another --port"
            ) from error
        app = create_app(max_upload)
        # Folders of devices are known to this context only; requests run in threads of their own.
        self._context = copy_context()

        def answer(environment: Any, start: Any) -> Any:
            return self._context.copy().run(app.server, environment, start)

        limit = int(app.server.config["MAX_CONTENT_LENGTH"])
        self._server = create_server(
            answer, sockets=[taken], threads=THREADS, max_request_body_size=limit, ident=None
        )
        shown = f"[{host}]" if family is socket.AF_INET6 else host
        self.address = f"http://{shown}:{taken.getsockname()[1]}/"

    def run(self) -> None:
        """Serve, and work out the first page before anyone asks for it."""
        Thread(target=self._context.copy().run, args=(_warm,), daemon=True).start()
        try:
            self._server.run()
        finally:
            gc.unfreeze()

    def close(self) -> None:
        """Stop serving."""
        self._server.close()
        self._server.task_dispatcher.shutdown()


def _warm() -> None:
    from costmodel.workbench.advice import advise
    from costmodel.workbench.state import default_state

    advise(default_state())
    # A collection of garbage would walk through the frameworks' objects, which stay: up to 0.4 s.
    gc.freeze()
