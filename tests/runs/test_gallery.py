"""The README's pictures can be made anew."""

import subprocess
import sys

import pytest

from runs.gallery import SIZE, arcade, gallery


def test_the_arcade_page_is_drawn_from_real_games(tmp_path):
    pytest.importorskip("PIL")
    pictures = arcade()
    assert len(pictures) == 5
    assert all(p.shape == (SIZE[1], SIZE[0], 3) and p.std() > 20 for p in pictures)
    (file,) = gallery(folder=tmp_path / "pictures")
    assert file.name == "arcade.png"
    assert file.stat().st_size < 400_000


def test_a_run_that_is_not_there_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "runs.gallery", "nothing"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "gallery: no run at nothing: no such folder\n")
