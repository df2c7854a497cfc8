"""The HTML document around the page, in the colours of the theme."""

from __future__ import annotations

from costmodel.reports import theme

_SELECTORS: dict[theme.Mode, str] = {"light": "", "dark": "[data-mode=dark]"}

INDEX = (
    """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{%title%}</title>
<link rel="icon" href="data:,">
<style>"""
    + "".join(
        f":root{selector} {{ "
        + "; ".join(f"--{name}: {colour}" for name, colour in theme.PALETTE[mode].items())
        + f"; color-scheme: {mode} }}\n"
        for mode, selector in _SELECTORS.items()
    )
    + f":root {{ --font: {theme.FONT}; --accent: {theme.BLUE} }}\n"
    + """</style>
{%css%}
</head>
<body>
{%app_entry%}
<footer hidden>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""
)
"""The document around the page; `theme` gives its colours."""
