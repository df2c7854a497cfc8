"""What the web server allows: how large a request may be, and whom a page may talk to."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any

from costmodel.errors import UsageError


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


def serve(host: str, port: int, max_bytes: int, ready: Callable[[str], None]) -> None:
    """Serve the workbench until interrupted.

    Args:
        host: address to listen on.
        port: 0 for any that is free.
        max_bytes: of the largest file that may be uploaded.
        ready: told the page's address once it can be opened.

    Raises:
        UsageError: if the address cannot be used.
    """
    from waitress import create_server

    from costmodel.workbench.app import create_app

    app = create_app(max_bytes)
    limit = int(app.server.config["MAX_CONTENT_LENGTH"])
    # Folders of devices are known to this context only, and requests run in threads of their own.
    context = copy_context()

    def answer(environment: Any, start: Any) -> Any:
        return context.copy().run(app.server, environment, start)

    try:
        server = create_server(
            answer, host=host, port=port, threads=8, max_request_body_size=limit, ident=None
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot serve on {host}:{port}: {reason}; try another --port") from error
    Thread(target=context.copy().run, args=(warm,), daemon=True).start()
    ready(f"http://{host}:{server.effective_port}/")
    server.run()


def warm() -> None:
    """Work out the first page before anyone asks for it."""
    from costmodel.workbench.advice import advise
    from costmodel.workbench.state import default_state

    advise(default_state())
