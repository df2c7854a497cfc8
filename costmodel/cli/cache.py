"""`costmodel cache`: info, clear."""

import typer

from costmodel.cli import options
from costmodel.cli.output import chosen_format, emit

app = typer.Typer(help="Show or clear the traced models kept on disk.", rich_markup_mode=None)


@app.command("info")
def info(format: options.FormatOption = None, output: options.Output = None) -> None:
    """Show where traced models are kept, how many, and their size."""
    form = chosen_format(format, output)
    from costmodel.reports.cache import cache_report
    from costmodel.tracing.cache import cache_info

    emit(cache_report(cache_info()), form, output)


@app.command("clear")
def clear() -> None:
    """Delete all traced models that are kept."""
    from costmodel.tracing.cache import clear_cache
    from costmodel.units import format_bytes

    before = clear_cache()
    typer.echo(
        f"deleted {before.entries:,} traced models, {format_bytes(before.bytes)}, "
        f"from {before.folder}",
        err=True,
    )
