"""Runs the page's scripts outside of it: in node, or in a blank page of Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runs.sharing.web.export import source
from tests.runs.reporting import chromium

NODE = shutil.which("node")

needs_javascript = pytest.mark.skipif(
    NODE is None and not chromium.AVAILABLE, reason="neither node nor Chromium on this machine"
)


def run(body: str, data: Any = None) -> Any:
    """What the function body `body`, which sees net.js, rules.js and `data`, returns."""
    program = "\n".join(str(source(name)) for name in ("net.js", "rules.js"))
    program += f"\nconst result = ((data) => {{ {body} }})({json.dumps(data)});"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.js"
        if NODE:
            path.write_text(program + "\nprocess.stdout.write(JSON.stringify(result));")
            done = subprocess.run([NODE, str(path)], capture_output=True, text=True, timeout=1200)
            assert done.returncode == 0, done.stderr[-2000:]
            return json.loads(done.stdout)
        page = Path(folder) / "program.html"
        page.write_text("<meta charset=utf-8><script>" + program.replace("</", "<\\/") + "</script>")
        with chromium.Chromium() as browser:
            browser.open(page)
            return json.loads(browser.js("JSON.stringify(result)"))
