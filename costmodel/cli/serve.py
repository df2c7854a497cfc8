"""`costmodel serve`."""

import sys
from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.errors import UsageError


def serve(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 for any that is free.")
    ] = 8050,
    max_upload: Annotated[
        str, typer.Option("--max-upload", metavar="SIZE", help="Largest ONNX file: 128MiB.")
    ] = "128MiB",
    device_folders: options.Folders = None,
) -> None:
    """Open the workbench: design a network for a device and a budget in the browser."""
    from costmodel.units import parse

    limit = parse(max_upload, "B")
    if limit < 1:
        raise UsageError(f"--max-upload {max_upload}: expected at least 1 B")
    try:
        import dash as dash
        import waitress as waitress
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed; install it with: pip install 'roofline-costmodel[app]'"
        ) from None
    from costmodel.workbench.server import Server

    server = Server(host, port, int(limit))
    print(f"costmodel workbench on {server.address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("note: anyone who reaches this address can use it", file=sys.stderr, flush=True)
    server.run()
