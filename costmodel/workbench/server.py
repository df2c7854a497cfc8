"""The workbench on an address of this machine."""

from __future__ import annotations

import gc
import socket
from contextvars import copy_context
from threading import Thread
from typing import Any

from costmodel.errors import UsageError
from costmodel.workbench.app import create_app
from costmodel.workbench.uploads import MAX_BYTES

LOCAL = "127.0.0.1"
THREADS = 8


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
