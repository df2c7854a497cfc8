"""What the web server allows: how large a request may be, and whom a page may talk to."""

from __future__ import annotations

from typing import Any


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
