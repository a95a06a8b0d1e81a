"""`rl new` and `rl completion`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs.cli import command_line as cli
from runs.cli.starting_files import KINDS

ROOT = Path(__file__).parents[3]


def test_the_files_pass_their_own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        assert cli.main(["new", kind, f"my_{kind}"]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "--rootdir", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr
    assert all(len(line) <= 120 for path in tmp_path.glob("*.py") for line in path.read_text().splitlines())


@pytest.mark.parametrize("name", ["My", "../x", "a b", "", "class", "x\x1b[2J", "a" * 41, "1a", "x.py", "/etc/x"])
def test_a_name_that_is_no_modules_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "agent", name]) == 2
    line = capsys.readouterr().err
    assert "a name is a word of small letters" in line and line.count("\n") == 1 and "\x1b" not in line
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_or_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test_mine.py").write_text("kept")
    assert cli.main(["new", "env", "mine"]) == 2
    assert "test_mine.py exists already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["test_mine.py"] and Path("test_mine.py").read_text() == "kept"
    for name in ("json", "torch", "agents"):
        assert cli.main(["new", "agent", name]) == 2 and "would hide" in capsys.readouterr().err
    assert cli.main(["new", "engine", "mine"]) == 2 and "engine" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_the_shell_completes_verbs_options_and_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert cli.main(["completion", "zsh"]) == 0 and "cartpole_dqn" in capsys.readouterr().out
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = (
        '_ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_rl; echo "${COMPREPLY[@]}"; }\n'
        "_ask rl tu; _ask rl tune --min; _ask rl train cartpole_d\n"
    )
    (tmp_path / "rl.bash").write_text(script + ask)
    done = subprocess.run(["bash", tmp_path / "rl.bash"], capture_output=True, text=True, check=True)
    assert [line.split() for line in done.stdout.splitlines()] == [["tune"], ["--minutes"], ["cartpole_dqn"]]
