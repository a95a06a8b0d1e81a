"""A command line as it is shown is read back as it was, by sh and, without its single quotes, elsewhere."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from runs.folder.provenance import quoted


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("dqn@zoo", "dqn@zoo"),
        ("PPO on classic control", '"PPO on classic control"'),
        ("it's", '"it\'s"'),
        ("", '""'),
        ("rainbow:noisy=false,a;b", '"rainbow:noisy=false,a;b"'),
        ("dqn,sb3:dqn", '"dqn,sb3:dqn"'),
        ("@runs/studies/rainbow.args", '"@runs/studies/rainbow.args"'),
        (r"C:\my runs\a", '"C:\\my runs\\a"'),
        ("ends in\\", "'ends in\\'"),
        ("cost $5", "'cost $5'"),
        ('say "so"', "'say \"so\"'"),
    ],
)
def test_words_are_quoted_so_that_every_shell_reads_them(word: str, shown: str) -> None:
    assert quoted(["rl", word]) == f"rl {shown}"
    assert shlex.split(quoted(["rl", word])) == ["rl", word]
    assert subprocess.run(["sh", "-c", f"printf %s {shown}"], capture_output=True, text=True, check=True).stdout == word
