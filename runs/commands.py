"""Command lines as one would type them, to make a result again."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rl.secrets import redact_command

RUNS_MAIN = str(Path("runs", "__main__.py"))
"""What `python -m runs` calls itself."""


def command() -> list[str]:
    """The command line of this process as one would type it, secrets taken out."""
    first, *words = redact_command(sys.argv)
    return ["rl" if Path(first).name in ("rl", "rl.exe") or first.endswith(RUNS_MAIN) else first, *words]


def quoted(words: Sequence[str]) -> str:
    """A command line that sh, PowerShell and Windows' cmd read alike, wherever its words allow it."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A comma makes a list in PowerShell, an @ its elements; cmd knows double quotes alone, and keeps backslashes."""
    plain = shlex.quote(word)
    if plain == word and "," not in word and not word.startswith("@"):
        return word
    means_more = re.search(r'["$`!]|\\(\\|$)', word)
    return plain if means_more else f'"{word}"'
