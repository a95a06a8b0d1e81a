"""The README's pictures can be made anew."""

import subprocess
import sys
from pathlib import Path

import pytest

from runs.watching.gallery import SIZE, arcade


def test_the_arcade_page_is_drawn_from_real_games(tmp_path):
    pytest.importorskip("PIL")
    pictures = arcade()
    assert len(pictures) == 5
    assert all(p.shape == (SIZE[1], SIZE[0], 3) and p.std() > 20 for p in pictures)
    line = [sys.executable, "-m", "runs.watching.gallery", "--out", str(tmp_path / "pictures")]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    file = Path(done.stdout.strip())
    assert file == tmp_path / "pictures" / "arcade.png"
    assert file.stat().st_size < 400_000


def test_a_run_that_is_not_there_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "runs.watching.gallery", "nothing"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "gallery: no run at nothing: no such folder\n")
