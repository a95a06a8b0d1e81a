"""A run as it is shared: what acting, watching and judging need, a model card, and nothing else.

What comes back is untrusted: only files with known names and bounded sizes are taken, each is checked as JSON or as
safetensors, and nothing in them is run (`runs.folder.trust` asks before a recipe's own code is imported).
"""

from __future__ import annotations

import html
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rl import checkpoint
from rl.errors import InputError
from rl.redact import redact
from rl.storage import LARGEST_JSON, read_json, rename, write_atomic, write_json
from runs.folder.jsonl import read_jsonl
from runs.folder.run_folder import GENERATIONS, resolve
from runs.folder.trust import foreign_names

MOST_FILES, MOST_BYTES = 1_000, 2 << 30
"""Of a package that is taken in."""
DENSEST = 200
"""Largest ratio of a file's size to its compressed size, if it is above a megabyte: safetensors shrink to a half."""
LARGEST_FILM = 50 << 20
LONGEST_REASON = 400
"""Characters that are shown of the reason for a refusal, which may quote the package."""
JSONL = ("metrics.jsonl", "evaluations.jsonl", "episodes.jsonl")

_KNOWN = {
    r"run\.json|checkpoints/step-\d{9}/(manifest|agent)\.json": LARGEST_JSON,
    r"(metrics|evaluations|episodes)\.jsonl": 256 << 20,
    r"checkpoints/step-\d{9}/agent\.safetensors": MOST_BYTES,
    r"README\.md|curve\.png": 8 << 20,
    r"videos/[\w-]{1,80}\.(webm|mp4|gif)": LARGEST_FILM,
}
"""Names of the files of a package, and the largest size of each; others are left out."""


class Entry(NamedTuple):
    """A file of a package that somebody else made."""

    name: str
    size: int
    open: Callable[[], Any]
    packed: int | None = None
    """Its compressed size; None if it is not compressed."""


# out


def pack(run: str | Path, folder: Path) -> dict[str, Any]:
    """Writes the package of a run into the empty `folder`. Returns the facts of its card."""
    found = resolve(run)
    if found.run is None:
        raise InputError(f"{run} is a checkpoint alone: share the run folder, which has its scores")
    info = read_json(found.run / "run.json")
    write_json(
        folder / "run.json", redact({k: v for k, v in info.items() if k not in ("command", "tracking", "signature")})
    )
    tree = checkpoint.load_tree(found.checkpoint, "agent")
    step = int(found.manifest["step"])
    checkpoint.write_checkpoint(folder, step, {"agent": tree}, extra=found.manifest["extra"])
    for name in JSONL:
        if (found.run / name).is_file():
            shutil.copyfile(found.run / name, folder / name)
    films = sorted(p for p in (found.run / "videos").glob("*") if re.fullmatch(r"[\w-]{1,80}\.(webm|mp4|gif)", p.name))
    films = [film for film in films if film.is_file() and film.stat().st_size <= LARGEST_FILM][-1:]
    for film in films:
        (folder / "videos").mkdir()
        shutil.copyfile(film, folder / "videos" / film.name)
    facts = _facts(info, read_jsonl(folder / "evaluations.jsonl"), step)
    facts |= {"film": f"videos/{films[0].name}" if films else None, "curve": _curve(folder, facts["env"])}
    write_atomic(folder / "README.md", card(facts).encode())
    return facts


def _facts(info: dict[str, Any], evaluations: list[dict[str, Any]], step: int) -> dict[str, Any]:
    """What the card says, from run.json and the evaluation of the shared step."""
    import numpy as np

    from rl.stats import estimate

    recipe = info["recipe"]
    facts = {"env": str(recipe["env"]), "agent": str(recipe["agent"]["name"]), "step": step, "seed": recipe.get("seed")}
    last = [line for line in evaluations if line.get("step") == step and line.get("returns")]
    if last:
        returns = np.array(last[-1]["returns"], float)
        iqm = estimate(returns[:, None], np.random.default_rng(0))
        facts |= {
            "games": len(returns),
            "mean": float(returns.mean()),
            "std": float(returns.std()),
            "iqm": [iqm.point, iqm.low, iqm.high],
            "protocol": str((recipe.get("env_config") or {}).get("protocol") or ""),
            "sample": bool(last[-1].get("sample", recipe.get("eval_sample", False))),
        }
    return facts


def card(facts: dict[str, Any]) -> str:
    """The model card: the hub's header, the score with its interval and protocol, curve, film, and how to use it."""
    env, agent = _text(facts["env"]), _text(facts["agent"])
    head = ["library_name: ludo-rl", "tags:", *(f"- {_yaml(tag)}" for tag in ("reinforcement-learning", env, agent))]
    lines = [f"# {agent} on {env}", "", f"Trained by ludo-rl for {facts['step']:,} steps, seed {facts['seed']}.", ""]
    if "mean" in facts:
        score = f"{facts['mean']:.2f} +/- {facts['std']:.2f}"
        head += [
            "model-index:",
            f"- name: {_yaml(agent)}",
            "  results:",
            "  - task:",
            "      type: reinforcement-learning",
        ]
        head += ["    dataset:", f"      name: {_yaml(env)}", f"      type: {_yaml(env)}", "    metrics:"]
        head += ["    - type: mean_reward", f"      value: {score}", "      name: mean_reward"]
        point, low, high = facts["iqm"]
        interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
        lines += [
            "| games | mean | interquartile mean [95% interval over games] | policy | protocol |",
            "|---|---|---|---|---|",
        ]
        how = "sampled" if facts["sample"] else "greedy"
        protocol = _text(facts["protocol"]) or "whole games, raw scores"
        lines += [f"| {facts['games']} | {score} | {point:.2f}{interval} | {how} | {protocol} |", ""]
        lines += ["One seed: the interval is over games, not over trainings.", ""]
    else:
        lines += ["This checkpoint was not evaluated.", ""]
    lines += ["![Returns of the evaluations](curve.png)", ""] if facts["curve"] else []
    lines += [f"[A game as a film]({facts['film']})", ""] if facts["film"] else []
    lines += ["```sh", "rl pull REPO --out DIR      # or the zip file", "rl evaluate DIR", "rl watch DIR", "```", ""]
    lines += [
        "The weights are safetensors, the rest is JSON; there is no code and no pickle. The replay is not included, so"
    ]
    lines += ["that training cannot be resumed; `rl train DIR/run.json` starts it anew.", ""]
    return "\n".join(["---", *head, "---", "", *lines])


def _text(value: Any) -> str:
    """A name without markup, line breaks and control characters."""
    plain = "".join(c if c.isprintable() else "?" for c in str(value))[:200]
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(plain, quote=False)) if not plain.isalnum() else plain


def _yaml(value: str) -> str:
    return "'" + value.replace("\\", "").replace("'", "''") + "'"


def _curve(folder: Path, env: str) -> str | None:
    """Draws the mean return of each evaluation; None if there are fewer than two."""
    lines = read_jsonl(folder / "evaluations.jsonl")
    points = [(x["step"], x["mean"]) for x in lines if isinstance(x.get("mean"), (int, float)) and "step" in x]
    if len(points) < 2:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="steps", ylabel="mean return", title="".join(c for c in env if c.isprintable()))
    axes.plot(*zip(*points, strict=True), marker=".")
    figure.savefig(folder / "curve.png", dpi=100)
    return "curve.png"


# in


def unpack(entries: list[Entry], out: Path, source: str) -> dict[str, Any]:
    """Makes the run folder `out` of a package's files. Nothing is left of a package that is refused.

    Returns the run, the files left out, and the `module:Name`s that its recipe would need trust for. Raises
    `InputError` for a package that reaches outside its folder, is too large, or holds no good checkpoint.
    """
    wanted = _wanted(entries, source)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} is occupied: name another folder")
    with _building(out) as folder:
        for entry in wanted:
            _copy(entry, folder / entry.name, source)
        recipe = _checked(folder, source)
        (folder / GENERATIONS).rmdir() if (folder / GENERATIONS).is_dir() else None
    left = sorted({entry.name for entry in entries} - {entry.name for entry in wanted})
    return {"run": str(out), "left_out": left[:20], "code": foreign_names(recipe)}


def _checked(folder: Path, source: str) -> dict[str, Any]:
    """The recipe of a copied package. Raises `InputError`, one short line, unless all of it can be read."""
    try:
        if not isinstance(recipe := read_json(folder / "run.json").get("recipe"), dict):
            raise InputError("run.json has no recipe")
        found, _ = checkpoint.newest_good(folder, "skip")
        checkpoint.load_tree(found, "agent")  # JSON and safetensors, or it is refused here
    except InputError as error:
        line = " ".join(str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), "it").split())
        plain = "".join(c if c.isprintable() else "?" for c in line[:LONGEST_REASON])
        raise InputError(f"{source} is refused: {plain}") from error
    return recipe


def _wanted(entries: list[Entry], source: str) -> list[Entry]:
    """The files with known names. Raises `InputError` for any name or size that no honest package has."""
    if len(entries) > MOST_FILES:
        raise InputError(f"{source} has more than {MOST_FILES:,} files")
    seen: set[str] = set()
    for entry in entries:
        parts = entry.name.split("/")
        if not entry.name.isprintable() or "\\" in entry.name or ":" in parts[0] or {"", ".", ".."} & set(parts):
            raise InputError(f"{source} has a file {entry.name!r}, which is no plain name within its folder")
        if entry.name.casefold() in seen:
            raise InputError(f"{source} has the file {entry.name!r} twice")
        seen.add(entry.name.casefold())
    limits = {
        e.name: most for e in entries for pattern, most in _KNOWN.items() if re.fullmatch(pattern, e.name, re.ASCII)
    }
    wanted = [entry for entry in entries if entry.name in limits]
    for entry in wanted:
        dense = entry.packed is not None and entry.size > max(1 << 20, DENSEST * entry.packed)
        if entry.size > limits[entry.name] or dense:
            raise InputError(f"{source}: {entry.name} has {entry.size:,} bytes, more than such a file may have")
    if sum(entry.size for entry in wanted) > MOST_BYTES:
        raise InputError(f"{source} has more than {MOST_BYTES >> 30} GB")
    if "run.json" not in limits or not any(name.endswith("manifest.json") for name in limits):
        raise InputError(f"{source} is no shared run: it has no run.json with a checkpoint")
    return wanted


@contextmanager
def _building(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place if the block ends without an error."""
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".pull-", dir=out.absolute().parent))
    try:
        yield folder
        os.chmod(folder, 0o755)
        if out.is_dir():
            out.rmdir()
        rename(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(entry: Entry, path: Path, source: str) -> None:
    """Writes a file of exactly the stated size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = entry.size
    try:
        with entry.open() as given, open(path, "xb") as file:
            while chunk := given.read(min(1 << 20, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                file.write(chunk)
    except InputError:  # the hub's
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for damaged data
        raise InputError(f"{source}: {entry.name} cannot be read: {type(error).__name__}") from None
    if left:
        raise InputError(f"{source}: {entry.name} has another size than the {entry.size:,} bytes it states")


def zip_entries(path: Path) -> list[Entry]:
    """The files of a zip; folders are left out. Raises `InputError` for links and encrypted files."""
    try:
        archive = zipfile.ZipFile(path)
        found = archive.infolist()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:
        raise InputError(f"{path} is no zip file: {type(error).__name__}") from None
    for info in found:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1:
            raise InputError(f"{path} has {info.filename!r}, which is a link, a device or encrypted")
        if info.filename != info.orig_filename:
            raise InputError(f"{path} has a file {info.orig_filename!r}, which is no plain name within its folder")
    return [
        Entry(info.filename, info.file_size, partial(_opened, archive, info), info.compress_size)
        for info in found
        if not info.is_dir()
    ]


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    return archive.open(info)


def _unreadable(path: Path, error: OSError) -> NoReturn:
    raise InputError(f"{path} has a file or folder that cannot be read: {error.strerror}") from error


def folder_entries(path: Path) -> list[Entry]:
    """The plain files of a folder. Raises `InputError` for anything else, links too, and for what cannot be read."""
    found: list[Entry] = []
    for where, folders, files in os.walk(path, onerror=partial(_unreadable, path)):
        for name in [*folders, *files]:
            here = Path(where, name)
            try:
                state = here.lstat()
            except OSError as error:
                _unreadable(path, error)
            if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
                raise InputError(f"{path} has {str(here.relative_to(path))!r}, which is a link or no plain file")
            if name in files:
                found.append(Entry(here.relative_to(path).as_posix(), state.st_size, partial(Path.open, here, "rb")))
            if len(found) > MOST_FILES:
                return found
    return found
