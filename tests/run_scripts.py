"""Run Python files one after the other in this process, and print what became of each as JSON.

    python run_scripts.py FILE...

Apart from the tests' own process, since a script may register operators; together, since each
process would load torch anew.
"""

from __future__ import annotations

import io
import json
import runpy
import sys
import traceback
from contextlib import redirect_stdout

results = {}
for path in sys.argv[1:]:
    printed, failure = io.StringIO(), ""
    try:
        with redirect_stdout(printed):
            runpy.run_path(path, run_name="__main__")
    except BaseException:
        failure = traceback.format_exc()
    results[path] = {"printed": printed.getvalue(), "failure": failure}
json.dump(results, sys.stdout)
