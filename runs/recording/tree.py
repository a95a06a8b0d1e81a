"""An exported copy of the committed tree, which trains what is recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rl.errors import InputError
from rl.storage import read_json, rename
from runs.folder.places import ROOT
from runs.recipe import Run, describe

TREES = Path("runs/out/record")


def run_folder(recipe: str, mark: str, seed: int) -> Path:
    return TREES / f"{recipe}-{mark}" / f"seed-{seed}"


def in_git() -> bool:
    """Whether the suite runs from a git checkout of its own, not from an installed package."""
    command = ["git", "rev-parse", "--show-toplevel"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
        return Path(done.stdout.strip()).samefile(ROOT)
    except (OSError, subprocess.CalledProcessError):
        return False


def export_tree(wanted: str = "HEAD") -> Path:
    """A copy of the committed tree under runs/out, so that edits do not reach a running training.

    An exported tree and an installed package have no git: they are returned as they are for HEAD. Raises InputError for
    any other commit that git does not know.
    """
    if wanted == "HEAD" and not in_git():
        return ROOT
    command = ["git", "rev-parse", "--verify", f"{wanted}^{{commit}}"]
    try:
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        if wanted == commit_of(ROOT):
            return ROOT
        raise InputError(f"git has no commit {wanted} in {ROOT}: results are recorded from a commit") from error
    tree = (TREES / commit[:12]).absolute()
    if not (tree / ".commit").exists():
        TREES.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        with tempfile.TemporaryDirectory(dir=TREES, ignore_cleanup_errors=True) as partial:
            subprocess.run([sys.executable, "-c", _UNPACK], cwd=partial, input=archive, check=True)
            (Path(partial) / ".commit").write_text(commit + "\n")
            try:
                os.rename(partial, tree)
            except OSError:
                if not (tree / ".commit").exists():  # else another `rl record` was first
                    raise
    return tree


_UNPACK = """
import sys, tarfile
safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not before Python 3.11.4
tarfile.open(fileobj=sys.stdin.buffer, mode="r|").extractall(".", **safely)
"""


def check_committed(tree: Path, recipe: str, run: Run) -> None:
    """Raises InputError if the recipe of `tree`, which is the one that trains, differs from `run`."""
    if tree == ROOT:
        return
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", _DESCRIBE, recipe]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode or json.loads(done.stdout) != json.loads(json.dumps(describe(run))):
        raise InputError(f"commit the recipe {recipe} first: results belong to a commit, and HEAD has another {recipe}")


_DESCRIBE = """
import json, sys
from runs.recipe import describe, resolve
print(json.dumps(describe(resolve(sys.argv[1]))))
"""


def tree_of(out: Path, steps: int, tree: Path) -> Path:
    """The tree that trains the seed whose folder is `out`: the tree of the commit that it began with.

    A finished training of another commit whose result is missing is moved aside: its result was withdrawn.
    """
    if not (out / "checkpoints").exists():
        return tree
    begun = read_json(out / "run.json").get("commit")
    if begun == commit_of(tree):
        return tree
    if not finished(out, steps):
        return export_tree(str(begun))
    aside = out.with_name(f".{out.name}-{str(begun)[:12]}")
    shutil.rmtree(aside, ignore_errors=True)
    rename(out, aside)
    return tree


def commit_of(tree: Path) -> str | None:
    """The commit that `tree` is an export of; None for an installed package."""
    marked = tree / ".commit"
    return marked.read_text().strip() if marked.exists() else None


def finished(out: Path, steps: int) -> bool:
    """Whether a run folder has a checkpoint of its last step."""
    return any(int(p.name.split("-")[1]) >= steps for p in (out / "checkpoints").glob("step-*"))
