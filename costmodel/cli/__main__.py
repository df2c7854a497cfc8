"""`python -m costmodel.cli`: the same as the `costmodel` script."""

import sys

from costmodel.cli.app import main

sys.exit(main())
