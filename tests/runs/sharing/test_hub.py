"""Runs are shared as plain files, and what comes back is checked before it becomes a run folder."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN

from rl.errors import InputError
from runs.folder.trust import UntrustedError
from runs.sharing import package
from runs.sharing.hub import pull, push
from runs.training.evaluation import evaluate, load
from runs.training.train import resume, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    settings = ["learning_starts=20", "save_every=200", "eval_episodes=3", "eval_every=100", "net.hidden=8"]
    train("CartPole-v1", agent="dqn", steps=300, out=str(folder), track="off", quiet=True, settings=settings)
    (folder / "videos").mkdir()
    (folder / "videos" / "step-000000300.gif").write_bytes(b"GIF89a")
    return folder


@pytest.fixture(scope="module")
def zipped(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("zips") / "a.zip"
    push(run, str(file))
    return file


class Hub:
    """The hub's boundary as a local folder: the four calls that push and pull make of `HfApi`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_repo(self, repo: str, private: bool, exist_ok: bool) -> None:
        (self.root / repo).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> None:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        (self.root / repo_id / ".gitattributes").write_text("the hub adds this")

    def repo_info(self, repo: str, files_metadata: bool) -> Any:
        files = [p for p in (self.root / repo).rglob("*") if p.is_file()]
        names = [
            SimpleNamespace(rfilename=p.relative_to(self.root / repo).as_posix(), size=p.stat().st_size) for p in files
        ]
        return SimpleNamespace(siblings=names)

    def hf_hub_download(
        self, repo: str, name: str, local_dir: Path, dry_run: bool = False, tqdm_class: Any = None
    ) -> Any:
        if dry_run:
            return SimpleNamespace(file_size=(self.root / repo / name).stat().st_size)
        return shutil.copy(self.root / repo / name, local_dir)


def same_policy(a: Path, b: Path) -> bool:
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    actions = [load(x).predict(obs, deterministic=True)[0].tolist() for x in (a, b)]
    return bool(actions[0] == actions[1])


@pytest.mark.parametrize("way", ["zip", "folder", "hub"])
def test_a_shared_run_comes_back_and_plays_but_cannot_be_resumed(
    way: str, run: Path, zipped: Path, tmp_path: Path
) -> None:
    hub, out = Hub(tmp_path / "hub"), tmp_path / "b"
    if way == "hub":
        push(run, "me/cart-pole", api=hub)
        found = pull("me/cart-pole", out=out, api=hub)
        assert found["left_out"] == [".gitattributes"]
    elif way == "folder":
        with zipfile.ZipFile(zipped) as archive:
            archive.extractall(tmp_path / "given")
        found = pull(str(tmp_path / "given"), out=out)
    else:
        found = pull(str(zipped), out=out)
    assert found["run"] == str(out) and found["code"] == [] and same_policy(run, out)
    assert evaluate(out)["returns"] == evaluate(run)["returns"]
    assert (out / "videos" / "step-000000300.gif").read_bytes() == b"GIF89a"
    assert not list(out.rglob("learner*")) and not (out / "replay").exists()
    with pytest.raises(InputError, match="shared without optimizer and replay"):
        resume(out, steps=400)


def test_the_card_has_the_score_its_interval_curve_film_and_no_command(zipped: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        text, info = archive.read("README.md").decode(), json.loads(archive.read("run.json"))
        assert archive.read("curve.png").startswith(b"\x89PNG")
    assert text.startswith("---\nlibrary_name: ludo-rl\n") and "mean_reward" in text and "# dqn on CartPole-v1" in text
    assert "| 3 | " in text and "[95% interval over games]" in text and "videos/step-000000300.gif" in text
    assert "command" not in info and not any(name.endswith((".pkl", ".py", ".pth")) for name in archive.namelist())


def test_a_name_with_markup_is_text_on_the_card() -> None:
    facts = {"env": "<script>x</script>\n# |", "agent": "dqn", "step": 1, "seed": 0, "film": None, "curve": None}
    text = package.card(facts)
    assert "<script>" not in text.partition("---\n\n")[2] and "\n# |" not in text


def files_of(zipped: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(zipped) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def name_of(files: dict[str, bytes], ending: str) -> str:
    return next(name for name in files if name.endswith(ending))


HOSTILE: dict[str, Any] = {
    "a path upwards": lambda f: {**f, "../outside": b"x"},
    "a path upwards behind a known folder": lambda f: {**f, "checkpoints/../../outside": b"x"},
    "an absolute path": lambda f: {**f, "/tmp/ludo-outside": b"x"},
    "a drive": lambda f: {**f, "C:/outside": b"x"},
    "a backslash": lambda f: {**f, "videos\\..\\outside": b"x"},
    "an empty part": lambda f: {**f, "videos//a.gif": b"x"},
    "a terminal's control characters": lambda f: {**f, "\x1b]0;x\x07.gif": b"x"},
    "a line break": lambda f: {**f, "a\nb": b"x"},
    "text that runs backwards": lambda f: {**f, "videos/\u202egif.exe": b"x"},
    "a name in two cases": lambda f: {**f, "RUN.json": b"{}"},
    "a symbolic link": lambda f: {**f, link("videos/a.gif"): b"/etc/passwd"},
    "a bomb": lambda f: {**f, "metrics.jsonl": b"\n" * (20 << 20)},
    "too many files": lambda f: {**f, **{f"x{i}": b"" for i in range(1_001)}},
    "a huge run.json": lambda f: {**f, "run.json": os.urandom(33 << 20)},
    "a run.json nested too deeply": lambda f: {**f, "run.json": b"[" * 9_999 + b"]" * 9_999},
    "a run.json without a recipe": lambda f: {**f, "run.json": b"{}"},
    "no run.json": lambda f: {k: v for k, v in f.items() if k != "run.json"},
    "no checkpoint": lambda f: {k: v for k, v in f.items() if not k.startswith("checkpoints")},
    "a pickle in place of safetensors": lambda f: {**f, name_of(f, ".safetensors"): b"\x80\x04cos\nsystem\n."},
    "other weights than the manifest's": lambda f: {
        **f,
        name_of(f, ".safetensors"): f[name_of(f, ".safetensors")][:-1] + b"x",
    },
    "a manifest that names another folder": lambda f: {
        **f,
        name_of(f, "manifest.json"): f[name_of(f, "manifest.json")].replace(
            b"agent.safetensors", b"../agent.pth.tensor"
        ),
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_leaves_nothing(name: str, zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in HOSTILE[name](files_of(zipped)).items():
            archive.writestr(member, data)
    with pytest.raises(InputError) as caught:
        pull(str(tmp_path / "bad.zip"), out=tmp_path / "x" / "b")
    assert len(str(caught.value).splitlines()) == 1
    assert not Path("/tmp/ludo-outside").exists()
    assert [p.name for p in tmp_path.rglob("*")] in (["bad.zip"], ["bad.zip", "x"], ["x", "bad.zip"])


def test_a_zip_that_states_a_smaller_size_is_refused(zipped: Path, tmp_path: Path) -> None:
    entries = [e._replace(size=e.size - 1) if e.name == "run.json" else e for e in package.zip_entries(zipped)]
    with pytest.raises(InputError, match=r"run\.json has another size than"):
        package.unpack(entries, tmp_path / "b", "a.zip")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_a_link_and_a_file_that_is_no_zip_are_refused(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path / "given")
    (tmp_path / "given" / "videos" / "x.gif").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"'videos/x\.gif', which is a link"):
        pull(str(tmp_path / "given"), out=tmp_path / "b")
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="is no zip file"):
        pull(str(tmp_path / "a.zip"), out=tmp_path / "b")


def test_code_in_a_pulled_recipe_is_named_and_never_imported(run: Path, zipped: Path, tmp_path: Path) -> None:
    pull(str(zipped), out=tmp_path / "b")
    (manifest,) = (tmp_path / "b").glob("checkpoints/*/manifest.json")
    info, value = json.loads((tmp_path / "b" / "run.json").read_text()), json.loads(manifest.read_text())
    for document in (info, value["extra"]):
        document["recipe"]["env"] = "evil_module_of_the_test:Env-v0"
    (tmp_path / "b" / "run.json").write_text(json.dumps(info))
    from rl.checkpoint import _digest

    value.pop("sha256")
    manifest.write_text(json.dumps({**value, "sha256": _digest(value)}))
    found = pull(str(tmp_path / "b"), out=tmp_path / "c")
    assert found["code"] == ["evil_module_of_the_test:Env-v0"]
    with pytest.raises(UntrustedError, match="names code that it would import and run"):
        evaluate(tmp_path / "c")


@pytest.mark.parametrize("target", ["a", "a/b/c", "a b/c", "-a/b", "../a.b", "a/b\x1b"])
def test_a_target_that_is_neither_file_nor_repository_is_refused(target: str, run: Path) -> None:
    with pytest.raises(InputError, match="neither a file that ends in"):
        push(run, target, api=object())


def test_what_the_hub_refuses_is_one_line(run: Path) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise ConnectionError("no\nnetwork")

    with pytest.raises(InputError, match="the hub refused: ConnectionError: no network; a .zip file needs no account"):
        push(run, "a/b", api=SimpleNamespace(create_repo=refuse))


def test_a_model_file_of_sb3_becomes_a_run_that_evaluates(tmp_path: Path) -> None:
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu").save(tmp_path / "m.zip")
    found = pull(str(tmp_path / "m.zip"), env="CartPole-v1", out=tmp_path / "b")
    assert found["run"] == str(tmp_path / "b") and evaluate(tmp_path / "b", episodes=2)["agent"] == "dqn"


def test_a_zip_file_that_is_not_there_is_named_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^there is no file .*nosuch\.zip$"):
        pull(str(tmp_path / "nosuch.zip"))
