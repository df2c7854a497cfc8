"""The command line: arguments in, calls out, no logic.

Exit codes: 0 fine, 1 a budget or threshold was missed, 2 wrong usage or bad input, 70 a bug.
Each module holds one group of commands and imports what it runs when it runs. Annotations of
commands are no strings here: typer would evaluate each three times at every start.
"""

from costmodel.cli.app import main as main
