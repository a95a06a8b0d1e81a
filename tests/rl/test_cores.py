"""A pinned process counts the cores it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl.cores import usable_cores

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins a process")
def test_a_pinned_process_has_one_core() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from rl.cores import usable_cores"
    out = subprocess.run(
        [sys.executable, "-c", f"{code}; print(usable_cores())"], cwd=ROOT, capture_output=True, text=True
    )
    assert out.stdout == "1\n"
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
