"""An exported copy of the committed tree, which trains what is recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rl.errors import InputError
from rl.storage import read_json
from runs.folder.places import ROOT
from runs.recipe import Run, recipe_names
from runs.recipe import resolve as resolve_recipe

TREES = Path("runs/out/record")


def _run_folder(recipe: str, mark: str, seed: int) -> Path:
    return TREES / f"{recipe}-{mark}" / f"seed-{seed}"


def export_tree(wanted: str = "HEAD") -> Path:
    """A copy of the committed tree under runs/out, so that nothing edited meanwhile reaches a running training."""
    here = ROOT
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--verify", f"{wanted}^{{commit}}"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        marked = here / ".commit"
        if marked.exists() and wanted in ("HEAD", marked.read_text().strip()):  # already an exported tree
            return here
        raise InputError(f"git has no commit {wanted} in {here}: results are recorded from a commit") from error
    tree = (TREES / commit[:12]).absolute()
    if not (tree / ".commit").exists():
        TREES.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=here, capture_output=True, check=True).stdout
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


def _hold_against(tree: Path, recipe: str, run: Run) -> None:
    """Raises InputError where the tree's recipe, which is what trains, is not the one that the result would name."""
    path = tree / "runs" / "recipes" / f"{recipe}.py"
    if recipe in recipe_names() and (not path.exists() or resolve_recipe(str(path)) != run):
        raise InputError(f"commit runs/recipes/{recipe}.py first: a result is of a commit, which has another")


def _tree_of(out: Path, steps: int, tree: Path) -> Path:
    """The tree that trains the seed whose folder is `out`: that of the commit it began with, for weights have one.

    A finished training of another commit that left no result was withdrawn, or cut: it is moved aside.
    """
    if not (out / "checkpoints").exists():
        return tree
    begun = str(read_json(out / "run.json").get("commit"))
    if begun == _commit_of(tree):
        return tree
    if not _finished(out, steps):
        return export_tree(begun)
    aside = out.with_name(f".{out.name}-{begun[:12]}")
    shutil.rmtree(aside, ignore_errors=True)
    out.rename(aside)
    return tree


def _commit_of(tree: Path) -> str:
    return (tree / ".commit").read_text().strip()


def _finished(out: Path, steps: int) -> bool:
    return any(int(p.name.split("-")[1]) >= steps for p in (out / "checkpoints").glob("step-*"))
