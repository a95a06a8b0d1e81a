"""`rl new KIND NAME`: a working file to start from, with its test."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import re
import sys
from importlib import resources
from pathlib import Path

from rl.errors import InputError

KINDS = ("agent", "env", "recipe")
NEXT = {
    "agent": "rl train CartPole-v1 --agent {name}:{title}",
    "env": "rl train {name}:{title}",
    "recipe": "rl train {name}.py",
}


def new(kind: str, name: str) -> dict[str, str]:
    """Writes NAME.py and test_NAME.py into the current folder; returns `file`, `test` and the command to go `on` with.

    Raises InputError for a name that is no new module's, and rather than replace a file.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise InputError(f"new {kind} {name!r}: a name is a word of small letters, digits and _, such as my_{kind}")
    taken = name in sys.stdlib_module_names
    with contextlib.suppress(ValueError):  # a module without a spec
        taken = taken or importlib.util.find_spec(name) is not None
    files = {Path(f"{name}.py"): f"{kind}.txt", Path(f"test_{name}.py"): f"{kind}_test.txt"}
    for path in files:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path} exists already: choose another name, or move it away")
    if taken:
        raise InputError(
            f"new {kind} {name}: there is a module of this name, which the file would hide: choose another"
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    for path, source in files.items():
        text = (resources.files("runs.cli") / "new" / source).read_text(encoding="utf-8")
        with open(path, "x", encoding="utf-8") as opened:
            opened.write(text.replace("NAME", name).replace("CLASS", title))
    file, test = map(str, files)
    return {"file": file, "test": test, "on": NEXT[kind].format(name=name, title=title)}
