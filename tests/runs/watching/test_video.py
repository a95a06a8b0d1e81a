"""Videos hold every frame at its time, in little memory, and appear only when they are whole."""

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from rl.errors import InputError, RunError
from rl.storage import write_atomic
from runs.folder.places import ROOT
from runs.watching.video import VideoWriter, grid, resized


def frames(count, height=48, width=64):
    """Frame k is of one colour, which says k."""
    return [np.full((height, width, 3), (40 + 5 * k, 200 - 4 * k, 90), np.uint8) for k in range(count)]


def read(path):
    with av.open(str(path)) as file:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]


@pytest.mark.parametrize("ending", [".webm", ".mp4", ".gif"])
@pytest.mark.parametrize("size", [(48, 64), (51, 67)])
def test_every_frame_comes_back_in_order_at_its_time(tmp_path, ending, size):
    path = tmp_path / f"game{ending}"
    given = frames(30, *size)
    with VideoWriter(path, fps=25) as out:
        for frame in given:
            out.write(frame)
    shown = read(path)
    assert len(shown) == 30
    assert np.allclose([t for t, _ in shown], np.arange(30) / 25, atol=0.0051)
    for frame, (_, back) in zip(given, shown, strict=True):
        assert back.shape[0] - size[0] in (0, 1)
        error = np.abs(back[: size[0], : size[1]].astype(int) - frame).mean()
        assert error < (24 if ending == ".gif" else 6)  # a GIF has few colours left for late frames
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_gif_of_sixty_frames_a_second_keeps_its_speed(tmp_path):
    with VideoWriter(tmp_path / "a.gif", fps=60) as out:
        for frame in frames(30):
            out.write(frame)
    shown = read(tmp_path / "a.gif")
    assert len(shown) == 15  # browsers slow down what comes faster than 50 a second
    assert abs(shown[-1][0] - 28 / 60) < 0.011


def test_what_is_brought_to_the_disk_is_open_for_writing(tmp_path, monkeypatch):
    """Windows refuses to do it for a file that is open for reading."""
    fcntl = pytest.importorskip("fcntl")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_mode, fcntl.fcntl(fd, fcntl.F_GETFL))))
    with VideoWriter(tmp_path / "a.webm") as out:
        out.write(frames(1)[0])
    write_atomic(tmp_path / "a.json", b"{}")
    assert sum(stat.S_ISREG(mode) for mode, _ in synced) == 2
    assert all(flags & os.O_ACCMODE for mode, flags in synced if stat.S_ISREG(mode))


@pytest.mark.parametrize("ending", [".webm", ".gif"])
def test_an_encoder_that_fails_at_the_end_lets_go_of_its_file(tmp_path, monkeypatch, ending):
    """Windows deletes no file that is open."""
    out = VideoWriter(tmp_path / f"a{ending}")
    out.write(frames(1)[0])
    encoder, closed = out._encoder, []
    monkeypatch.setattr(encoder, "_stream", None)
    file = encoder._file
    monkeypatch.setattr(encoder, "_file", SimpleNamespace(mux=file.mux, close=lambda: closed.append(file.close())))
    with pytest.raises(AttributeError):
        out.close()
    assert closed and list(tmp_path.iterdir()) == []


def test_a_film_that_the_disk_cannot_hold_is_none(tmp_path):
    """A limit of a file's size stands in for a full disk."""
    pytest.importorskip("resource")
    code = textwrap.dedent(
        """
        import resource, signal, sys
        import numpy as np
        from rl.errors import RunError
        from runs.watching import video
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0)
        try:
            with video.VideoWriter("a.webm") as out:
                for _ in range(12):
                    out.write(noise.integers(0, 255, (240, 320, 3), dtype=np.uint8))
        except RunError as error:
            print(error)
        """
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "could not write the video" in ended.stdout, ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".webm", ".mp4", ".gif"])
def test_a_failing_body_leaves_no_file(tmp_path, ending):
    path = tmp_path / f"game{ending}"
    path.write_bytes(b"the one before")
    with pytest.raises(ZeroDivisionError), VideoWriter(path) as out:
        out.write(frames(1)[0])
        raise ZeroDivisionError
    assert path.read_bytes() == b"the one before"
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_input_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot write a video to 'game.avi': its ending must be .webm, .mp4 or .gif"):
        VideoWriter("game.avi")
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        VideoWriter(tmp_path / "nowhere" / "game.webm")
    with pytest.raises(InputError, match="more than 0 frames a second, got 0"):
        VideoWriter(tmp_path / "game.webm", fps=0)
    with pytest.raises(InputError, match=r"uint8 \[H, W, 3\], got float64 \[4, 4\]"):
        VideoWriter(tmp_path / "game.webm").write(np.zeros((4, 4)))
    with pytest.raises(RunError, match="no frame was written"):
        VideoWriter(tmp_path / "game.webm").close()
    with pytest.raises(InputError, match="one shape"), VideoWriter(tmp_path / "game.webm") as out:
        out.write(frames(1)[0])
        out.write(frames(1, 20, 20)[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".webm", ".mp4", ".gif"])
def test_memory_stays_flat(tmp_path, ending):
    psutil = pytest.importorskip("psutil")
    process, rng = psutil.Process(os.getpid()), np.random.default_rng(0)
    noise = [rng.integers(0, 256, (120, 160, 3)).astype(np.uint8) for _ in range(8)]
    with VideoWriter(Path(tmp_path) / f"long{ending}", fps=60) as out:
        for k in range(60):
            out.write(noise[k % 8])
        before = process.memory_info().rss
        for k in range(240):  # 14 MB of frames
            out.write(noise[k % 8])
        assert process.memory_info().rss - before < 5e6


def test_a_grid_keeps_every_picture():
    given = [np.full((10, 20, 3), 50 * k + 50, np.uint8) for k in range(3)]
    sheet = grid(given, gap=2)
    assert sheet.shape == (22, 42, 3)  # two columns, two rows
    assert (sheet[:10, 22:] == 100).all()
    assert (sheet[12:, :20] == 150).all()


def test_a_smaller_picture_is_the_mean_of_what_it_covers():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, :2] = 100
    picture[0, 2] = 200
    small = resized(picture, 3, 2)
    assert small.shape == (2, 3, 3) and (small[0, 0] == 100).all() and (small[0, 1] == 50).all() and not small[1].any()
