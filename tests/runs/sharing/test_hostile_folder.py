"""A shared folder or hub repository from a stranger: refused in one short line, and nothing is left of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import sys
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import agents
import runs
from rl.checkpoint import _digest
from rl.errors import InputError
from runs.cli import main
from runs.sharing.hub import pull
from runs.sharing.package import pack
from runs.training.train import train

SECRET = "the text of a file outside"
DEEP = b"[" * 9_999 + b"]" * 9_999


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packed")
    settings = ["learning_starts=20", "eval_episodes=1", "net.hidden=8"]
    train("CartPole-v1", agent="dqn", steps=40, out=str(root / "run"), track="off", quiet=True, settings=settings)
    (root / "given").mkdir()
    pack(root / "run", root / "given")
    return root / "given"


def checkpoint_of(folder: Path) -> Path:
    (found,) = (folder / "checkpoints").iterdir()
    return found


def seal(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda manifest: None) -> None:
    """Writes a manifest that fits the checkpoint's files, then `change`d: what a careful attacker does."""
    path = checkpoint_of(folder) / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, record in manifest["files"].items():
        data = (path.parent / name).read_bytes()
        record |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change(manifest)
    manifest.pop("sha256")
    path.write_text(json.dumps({**manifest, "sha256": _digest(manifest)}))


def link(name: str, target: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(folder.parent / target)

    return change


def write(name: str, data: bytes) -> Callable[[Path], None]:
    """Writes a file of the folder; `checkpoint/` is its checkpoint, whose manifest is sealed."""

    def change(folder: Path) -> None:
        inside = name.startswith("checkpoint/")
        (checkpoint_of(folder) / name.partition("/")[2] if inside else folder / name).write_bytes(data)
        if inside:
            seal(folder)

    return change


def manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda folder: seal(folder, change)


def raw_manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes the manifest and leaves its own checksum as it was."""

    def apply(folder: Path) -> None:
        path = checkpoint_of(folder) / "manifest.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return apply


def tensors(change: Callable[[dict[str, Any], int], Any]) -> Callable[[Path], None]:
    """Changes the header of the weights, given the size of their data, and seals the checkpoint."""

    def apply(folder: Path) -> None:
        path = checkpoint_of(folder) / "agent.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        change(header, len(body))
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)
        seal(folder)

    return apply


def tree(value: Any, **arrays: Any) -> Callable[[Path], None]:
    """Puts `value` in place of the agent's tree, and `arrays` without data in place of its weights."""

    def apply(folder: Path) -> None:
        text = json.dumps(arrays).encode()
        (checkpoint_of(folder) / "agent.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
        write("checkpoint/agent.json", json.dumps({"schema": 1, "tree": value}).encode())(folder)

    return apply


def sparse(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def instead_of_run_json(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "run.json").unlink()
        make(folder / "run.json")

    return change


def crowd(folder: Path) -> None:
    for i in range(1_001):
        (folder / f"x{i}").touch()


def nested(folder: Path) -> None:
    """Folders within folders whose path is longer than the system takes at once."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def overlap(header: dict[str, Any], size: int) -> None:
    for i in range(1_000):
        header[f"copy{i}"] = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}


def stretch(header: dict[str, Any], size: int) -> None:
    next(iter(header.values()))["data_offsets"] = [0, 1 << 40]


def reshape(header: dict[str, Any], size: int) -> None:
    next(iter(header.values()))["shape"] = [1 << 40]


EMPTY = {"dtype": "U8", "shape": [1 << 33], "data_offsets": [0, 0]}

FOLDERS: dict[str, Callable[[Path], Any]] = {
    "a link to a file outside": link("README.md", "secret"),
    "a link in place of run.json": link("run.json", "secret"),
    "a link that leads nowhere": link("videos/a.gif", "nowhere"),
    "a link to a folder outside": link("videos", "."),
    "a link in place of the checkpoints": link("checkpoints", "."),
    "a pipe": lambda f: os.mkfifo(f / "metrics2.jsonl"),
    "a pipe in place of run.json": instead_of_run_json(os.mkfifo),
    "a path longer than the system takes": nested,
    "a name with control characters": write("\x1b]0;x\x07.gif", b"x"),
    "a name with a line break": write("a\nb", b"x"),
    "a name that is no text": lambda f: Path(os.fsdecode(os.fsencode(f) + b"/\xff\xfe")).write_bytes(b"x"),
    "a name with a backslash": write("videos\\..\\a.gif", b"x"),
    "a name in two cases": write("RUN.json", b"{}"),
    "too many files": crowd,
    "a run.json of a terabyte": sparse("run.json", 1 << 40),
    "a run.json nested too deeply": write("run.json", DEEP),
    "a run.json nested too deeply in a field": write("run.json", b'{"recipe": ' + DEEP + b"}"),
    "a run.json with a number of 5,000 digits": write("run.json", b'{"recipe": ' + b"9" * 5_000 + b"}"),
    "a run.json that is no text": write("run.json", b"\xff\xfe{}"),
    "a run.json that is a list": write("run.json", b"[]"),
    "a run.json whose recipe is a list": write("run.json", b'{"recipe": []}'),
    "a folder in place of run.json": instead_of_run_json(Path.mkdir),
    "a pickle in place of the weights": write("checkpoint/agent.safetensors", b"\x80\x04cos\nsystem\n."),
    "a pickle in place of the tree": write("checkpoint/agent.json", b"\x80\x04cos\nsystem\n."),
    "a tree nested too deeply": write("checkpoint/agent.json", b'{"schema": 1, "tree": ' + DEEP + b"}"),
    "a tree of another schema, with a line break": write("checkpoint/agent.json", b'{"schema": "\\u001b[2J\\nx"}'),
    "a tree of another schema, of a megabyte": write("checkpoint/agent.json", b'{"schema": "' + b"x" * 10**6 + b'"}'),
    "an array with a name of a megabyte": tree({"$array": "x" * 10**6, "dtype": "|u1"}),
    "an array that is not in the file": tree({"$array": "x", "dtype": "|u1"}),
    "an array of Python objects": tree({"$array": "x", "dtype": "|O"}, x=EMPTY),
    "a dtype that is no Python": tree({"$array": "x", "dtype": "(2,f4"}, x=EMPTY),
    "a dtype that is a function of torch": tree({"$array": "x", "dtype": "torch.load"}, x=EMPTY),
    "a tensor of 8 GB without data": tree({"$array": "x", "dtype": "torch.uint8"}, x=EMPTY),
    "an array of 8 GB without data": tree({"$array": "x", "dtype": "|u1"}, x=EMPTY),
    "a header of an exabyte": write("checkpoint/agent.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
    "a header that is cut off": write("checkpoint/agent.safetensors", b"\x01\x02"),
    "a header that is a list": write("checkpoint/agent.safetensors", struct.pack("<Q", 2) + b"[]"),
    "a header nested too deeply": write("checkpoint/agent.safetensors", struct.pack("<Q", len(DEEP)) + DEEP),
    "weights beyond the end of the file": tensors(stretch),
    "weights of another shape than their data": tensors(reshape),
    "a thousand arrays that share their bytes": tensors(overlap),
    "weights that are cut off": lambda f: os.truncate(checkpoint_of(f) / "agent.safetensors", 100),
    "weights that are missing": lambda f: (checkpoint_of(f) / "agent.safetensors").unlink(),
    "weights that the manifest does not name": manifest(lambda m: m["files"].pop("agent.safetensors")),
    "no tree in the manifest": manifest(lambda m: m["files"].clear()),
    "a checksum of zeros": manifest(lambda m: m["files"]["agent.safetensors"].update(sha256="0" * 64)),
    "a missing checksum": manifest(lambda m: m["files"]["agent.safetensors"].pop("sha256")),
    "a huge declared size": manifest(lambda m: m["files"]["agent.safetensors"].update(size=1 << 70)),
    "a manifest without its own checksum": raw_manifest(lambda m: m.pop("sha256")),
    "a manifest with the checksum of another": raw_manifest(lambda m: m.update(saved="never")),
    "a manifest that names a file upwards": manifest(lambda m: m["files"].update({"../../secret": {}})),
    "a manifest that names an absolute file": manifest(lambda m: m["files"].update({"/etc/passwd": {}})),
    "a manifest whose files are a list": manifest(lambda m: m.update(files=["agent.json"])),
    "a manifest of another step": manifest(lambda m: m.update(step=7)),
    "a manifest of another schema, with a line break": raw_manifest(lambda m: m.update(schema="a\nb" * 9_999)),
    "replay rows without end": manifest(
        lambda m: m.update(segments=[{"file": "a", "start": 0, "stop": float("inf"), "size": 0, "sha256": ""}])
    ),
}  # fmt: skip


def assert_refused(source: str, tmp_path: Path, api: Any = None) -> None:
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError) as caught:
        pull(source, out=tmp_path / "x" / "b", api=api)
    line = str(caught.value)
    assert len(line.splitlines()) == 1 and len(line) < 1_000 and line.isprintable() and SECRET not in line
    assert ".pull-" not in line  # the folder in which it was checked is gone
    assert sorted({*os.listdir(tmp_path)} - {"x"}) == before
    assert not (tmp_path / "x").exists() or not os.listdir(tmp_path / "x")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_folder_is_refused_and_leaves_nothing(name: str, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "given")
    (tmp_path / "secret").write_text(SECRET)
    FOLDERS[name](tmp_path / "given")
    assert_refused(str(tmp_path / "given"), tmp_path)
    assert (tmp_path / "secret").read_text() == SECRET
    shutil.rmtree(tmp_path / "given")


LISTED = ["../outside", "checkpoints/../../outside", "/tmp/ludo-outside", "C:/outside", "videos//a.gif", "a\x1b[2J", ""]


class Listing:
    """The hub's boundary: what it lists, and the files that it would give."""

    def __init__(self, folder: Path, more: dict[str, Any]) -> None:
        files = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
        self.folder, self.sizes, self.asked = folder, {**files, **more}, 0

    def repo_info(self, repo: str, files_metadata: bool) -> Any:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in self.sizes.items()])

    def hf_hub_download(
        self, repo: str, name: str, local_dir: Path, dry_run: bool = False, tqdm_class: Any = None
    ) -> Any:
        if dry_run:
            return SimpleNamespace(file_size=(self.folder / name).stat().st_size)
        self.asked += 1
        return str(self.folder / name)


@pytest.mark.parametrize("name", LISTED)
def test_a_hub_that_lists_a_path_outside_is_asked_for_no_file(name: str, packed: Path, tmp_path: Path) -> None:
    hub = Listing(packed, {name: 1})
    assert_refused("a/b", tmp_path, hub)
    assert hub.asked == 0 and not Path("/tmp/ludo-outside").exists()


@pytest.mark.parametrize("size", [None, 0, 1, 1 << 50])
def test_a_hub_that_lists_another_size_is_refused(size: int | None, packed: Path, tmp_path: Path) -> None:
    hub = Listing(packed, {"run.json": size})
    assert_refused("a/b", tmp_path, hub)
    assert hub.asked < len(hub.sizes) - 1  # the file itself is never fetched


class Liar(BaseHTTPRequestHandler):
    """A hub whose listing and HEAD state `stated` bytes for a file, of which it then sends without end."""

    stated, sent = 2_000, 0

    def do_HEAD(self) -> None:
        self._answer({"X-Repo-Commit": "0" * 40, "ETag": '"e"', "Content-Length": str(self.stated)})

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            names = ["run.json", "checkpoints/step-000000001/manifest.json"]
            listed = {"id": "a/b", "sha": "0" * 40, "siblings": [{"rfilename": n, "size": self.stated} for n in names]}
            text = json.dumps(listed).encode()
            self._answer({"Content-Type": "application/json", "Content-Length": str(len(text))})
            self.wfile.write(text)
            return
        self._answer({})
        with contextlib.suppress(OSError):
            while True:
                type(self).sent += self.wfile.write(b"x" * 65_536)

    def _answer(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_ends_at_the_size_that_the_hub_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            api = hub.HfApi(endpoint=f"http://127.0.0.1:{server.server_address[1]}", token=False)
            assert_refused("a/b", tmp_path, api)
            with pytest.raises(InputError, match=r"a/b: \S+ is larger than the 2,000 bytes that the hub lists"):
                pull("a/b", out=tmp_path / "b", api=api)
        finally:
            server.shutdown()
    assert Liar.sent < 100 << 20


def test_a_hub_that_fails_during_a_download_is_named_as_the_cause(packed: Path, tmp_path: Path) -> None:
    def fail(repo: str, name: str, **_: Any) -> str:
        raise ConnectionError("the network\nis gone")

    hub = Listing(packed, {})
    hub.hf_hub_download = fail  # type: ignore[method-assign]
    with pytest.raises(InputError, match="the hub refused: ConnectionError: the network is gone"):
        pull("a/b", out=tmp_path / "b", api=hub)
    assert not list(tmp_path.iterdir())


def test_control_characters_and_code_in_run_json_stay_text(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from runs.cli.command_line import main

    shutil.copytree(packed, tmp_path / "given")
    info = json.loads((packed / "run.json").read_text())
    info["recipe"]["env"] = "evil_module_of_the_test\x1b[2J\n:Env"
    (tmp_path / "given" / "run.json").write_text(json.dumps(info))
    assert main(["pull", str(tmp_path / "given"), "--out", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "which runs only with --trust: 'evil_module_of_the_test\\x1b[2J\\n:Env'" in shown


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


def zipped_bomb() -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("../exploded", "out of the folder")
        archive.writestr("policy.pth", pickle.dumps(Bomb()))
    return file.getvalue()


ONNX = {
    "weights in another file": b"\x08\x0aB\x02\x10\x12:\x1e\x0a\x01wj\x16\x0a\x08location\x12\x0a/etc/passwd",
    "a pickle": pickle.dumps(Bomb()),
    "a zip": zipped_bomb(),
}


@pytest.mark.parametrize("kind", ONNX)
def test_no_command_reads_an_onnx_file_of_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)  # whoever imports one of them fails otherwise
    Path("x.onnx").write_bytes(ONNX[kind])
    adopt = ["pull", "x.onnx", "--env", "CartPole-v1", "--out", "made"]
    for words in (["pull", "x.onnx", "--out", "made"], adopt, ["evaluate", "x.onnx"], ["watch", "x.onnx"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("rl: ") and err.count("\n") == 1 and "x.onnx" in err
    for load in (runs.load, partial(runs.load, sb3=True), agents.load):
        with pytest.raises(InputError) as refused:
            load("x.onnx")
        assert "x.onnx" in str(refused.value) and "\n" not in str(refused.value)
    assert os.listdir() == ["x.onnx"] and Path("x.onnx").read_bytes() == ONNX[kind]
    assert not (tmp_path.parent / "exploded").exists()
