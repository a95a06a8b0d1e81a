"""`rl push` and `rl pull`: runs to and from a zip file, a folder or the Hugging Face hub."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import envs
from rl import checkpoint
from rl.errors import InputError
from rl.imports import require_extra
from rl.storage import rename
from runs.folder.places import OUT
from runs.folder.run_folder import RunFolder, default_name
from runs.recipe import describe
from runs.sharing.package import Entry, folder_entries, pack, unpack, zip_entries

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
"""A name on the hub: owner/name."""


def push(run: str | Path, target: str, *, private: bool = False, api: Any = None) -> dict[str, Any]:
    """Shares a run: writes the zip file `target`, or makes the hub's repository `target` and uploads it there.

    api: `huggingface_hub.HfApi()` unless given. Raises `InputError` if the run or the target does not fit, or if the
    hub refuses.
    """
    as_zip = str(target).endswith(".zip")
    if not as_zip and not REPO.fullmatch(str(target)):
        raise InputError(
            f"{target!r} is neither a file that ends in .zip nor a hub repository such as you/cartpole-dqn"
        )
    hub = None if as_zip else api or _api()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        facts = pack(run, folder)
        if hub is None:
            _zip(folder, Path(target))
        else:
            _asked(lambda: hub.create_repo(target, private=private, exist_ok=True))
            _asked(lambda: hub.upload_folder(repo_id=target, folder_path=folder, commit_message="rl push"))
    return {"to": str(target), **facts}


def pull(source: str, *, out: str | Path | None = None, env: str | None = None, api: Any = None) -> dict[str, Any]:
    """Makes a run folder of a zip file, a folder or a hub repository. Nothing in it is run.

    Args:
        out: the new run folder; by default one in runs/out.
        env: the environment of a Stable-Baselines3 model file, which becomes a run folder too.
    """
    path = Path(source)
    if env is not None:
        return _adopt(path, env, out)
    if path.is_dir():
        entries = folder_entries(path)
    elif path.is_file() or str(source).endswith(".zip"):
        entries = zip_entries(path)
    elif REPO.fullmatch(str(source)):
        with tempfile.TemporaryDirectory() as temporary:
            return unpack(_hub_entries(str(source), Path(temporary), api or _api()), _place(source, out), str(source))
    else:
        raise InputError(f"{str(source)!r} is no zip file, no folder and no hub repository such as you/cartpole-dqn")
    return unpack(entries, _place(path.name, out), str(source))


def _place(name: str, out: str | Path | None) -> Path:
    clean = re.sub(r"[^A-Za-z0-9.-]", "-", str(name).removesuffix(".zip")).strip(".-") or "pulled"
    return OUT / clean if out is None else Path(out)


def _zip(folder: Path, target: Path) -> None:
    new = target.with_name(f".{target.name}.new")
    try:
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(folder).as_posix())
        rename(new, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}; name another file") from error
    finally:
        new.unlink(missing_ok=True)


def _hub_entries(repo: str, folder: Path, api: Any) -> list[Entry]:
    """The files of a repository. A file is downloaded when it is opened, after names and sizes were checked.

    The hub is asked for the size once more before it sends a file, and the download ends at the size that was listed.
    """
    found = _asked(lambda: api.repo_info(repo, files_metadata=True)).siblings or []

    def opened(name: str, size: int) -> BinaryIO:
        there = _asked(lambda: api.hf_hub_download(repo, name, local_dir=folder, dry_run=True)).file_size
        if there not in (None, size):
            raise InputError(f"{repo}: {name} has {there:,} bytes, the hub lists {size:,}: nothing of it was fetched")
        bar = _bounded(f"{repo}: {name}", size)
        return open(_asked(lambda: api.hf_hub_download(repo, name, local_dir=folder, tqdm_class=bar)), "rb")

    return [Entry(str(f.rfilename), s := int(f.size or 0), partial(opened, str(f.rfilename), s)) for f in found]


def _bounded(name: str, size: int) -> type:
    """A progress bar of the hub's client that ends a download as soon as it has more than `size` bytes."""
    from huggingface_hub.utils import tqdm

    class Bounded(tqdm):  # type: ignore[misc]
        taken = 0

        def update(self, n: float | None = 1) -> bool | None:
            self.taken += int(n or 0)
            if self.taken > size:
                raise InputError(f"{name} is larger than the {size:,} bytes that the hub lists: the download was ended")
            return super().update(n)  # type: ignore[no-any-return]

    return Bounded


def _api() -> Any:
    require_extra("huggingface_hub")
    from huggingface_hub import HfApi

    return HfApi(library_name="ludo-rl")


def _asked(call: Callable[[], Any]) -> Any:
    """The hub's answer. Its errors (no account, no network, no such repository) become one line."""
    try:
        return call()
    except InputError:
        raise
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise InputError(f"the hub refused: {type(error).__name__}: {line}; a .zip file needs no account") from error


def _adopt(path: Path, env: str, out: str | Path | None) -> dict[str, Any]:
    """A run folder with the weights of a Stable-Baselines3 model file."""
    from runs.sharing.sb3_zip import read

    agent, run = read(path, env)
    with RunFolder.create(out, default_name(run.env, agent.name, run.seed)) as folder:
        folder.begin()
        recipe = describe(run)
        folder.write_info(
            {"recipe": recipe, "from": f"Stable-Baselines3, {path.name}", "spec": envs.spec(env).protocol}
        )
        checkpoint.write_checkpoint(folder.path, agent.step, {"agent": agent.agent_state()}, extra={"recipe": recipe})
        return {"run": str(folder.path), "left_out": [], "code": []}
