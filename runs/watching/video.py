"""Video files frame by frame: .webm, .mp4 and .gif by their ending, in constant memory, and pictures side by side.

A file appears under its name only when it is complete. PyAV encodes VP8, H.264 and GIF.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from rl.errors import InputError, RunError
from rl.storage import rename

ENDINGS = (".webm", ".mp4", ".gif")

GIF_FPS = 50.0
"""Browsers slow a GIF of more frames a second down to ten."""


class VideoWriter:
    """Writes uint8 [H, W, 3] frames of one size to `path` at `fps` frames a second.

    Raises `InputError` for another ending, for a folder that is missing, and for a frame of another shape. As a context
    manager it completes the file, or leaves none if the body raised.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float = 30.0) -> None:
        self.path = Path(path)
        self.fps = float(fps)
        self.frames = 0
        check_ending(self.path)
        if not fps > 0:
            raise InputError(f"a video needs more than 0 frames a second, got {fps:g}")
        if not self.path.parent.is_dir():
            raise InputError(f"no folder {self.path.parent} for the video {self.path.name}: make it first")
        self._part = self.path.with_name(f".{self.path.stem}.part-{os.getpid()}{self.path.suffix.lower()}")
        self._encoder: _Encoder | None = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame. It may be changed afterwards."""
        if self._encoder is None:
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                raise InputError(f"a video frame must be uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}")
            self._shape = frame.shape
            height, width = (n + n % 2 for n in frame.shape[:2])  # VP8 and H.264 store colours for 2 x 2 pixels
            make = _Gif if self._part.suffix == ".gif" else _Encoder
            self._encoder = make(self._part, self.fps, width, height)
        if frame.shape != self._shape:
            raise InputError(f"every frame of a video has one shape: got {frame.shape} after {self._shape}")
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._encoder.write(np.ascontiguousarray(frame))
        self.frames += 1

    def close(self) -> Path:
        """Completes the file and gives it its name. Raises `RunError` if it could not be written."""
        if self._encoder is None:
            raise RunError(f"no frame was written to {self.path}: there is no video")
        try:
            self._encoder.close()
            with open(self._part, "r+b") as file:  # Windows brings to the disk only what is open for writing
                os.fsync(file.fileno())
            rename(self._part, self.path)
        except OSError as error:
            raise RunError(f"could not write the video {self.path}: {error}") from error
        finally:
            self._remove_part()
        return self.path

    def discard(self) -> None:
        """Gives up: nothing is left on the disk."""
        if self._encoder is not None:
            with contextlib.suppress(Exception):
                self._encoder.close()
        self._remove_part()

    def _remove_part(self) -> None:
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` for an ending that cannot be written, before anything is played."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"cannot write a video to {os.fspath(path)!r}: its ending must be .webm, .mp4 or .gif")


def grid(frames: Sequence[np.ndarray], columns: int | None = None, gap: int = 4, shade: int = 20) -> np.ndarray:
    """Pictures (uint8 [H, W, 3], possibly of different sizes) side by side in rows, as square as they go."""
    columns = columns or math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    height, width = max(f.shape[0] for f in frames), max(f.shape[1] for f in frames)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), shade, np.uint8)
    for k, frame in enumerate(frames):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        top, left = top + (height - frame.shape[0]) // 2, left + (width - frame.shape[1]) // 2
        sheet[top : top + frame.shape[0], left : left + frame.shape[1]] = frame
    return sheet


def resized(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture (uint8 [H, W, 3]) in another size; each new pixel is the mean of those it covers."""
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


class _Encoder:
    """VP8 in .webm, H.264 in .mp4: both play in every browser."""

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        self._stream: Any
        if path.suffix == ".webm":
            codec, options = "libvpx", {"deadline": "realtime", "cpu-used": "4", "crf": "10"}
            self._file = av.open(str(path), "w")
        else:
            codec, options = "libx264", {"preset": "veryfast", "crf": "20"}
            self._file = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._stream = self._file.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.thread_count = 1
        if codec == "libvpx":
            self._stream.bit_rate = max(1_000_000, round(0.14 * width * height * fps))  # ceiling; crf decides below it

    def write(self, frame: np.ndarray) -> None:
        self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def close(self) -> None:
        try:
            self._file.mux(self._stream.encode(None))
        finally:
            self._file.close()


class _Gif(_Encoder):
    """One palette for the whole clip: the colours of the first frames, and 125 spread over all colours for later ones.

    FFmpeg's own `palettegen` keeps the whole clip in memory, or makes a palette for each frame. Then no frame can hold
    only what changed: a game of LunarLander took 22.3 MB that way, and takes 6.7 MB with one palette.
    """

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        self._file = av.open(str(path), "w")
        self._stream: Any = self._file.add_stream("gif", rate=100)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "pal8"
        self._stream.time_base = _HUNDREDTH
        self._early: list[np.ndarray] = []
        self._early_room = max(1, min(24, 48_000_000 // (3 * width * height)))
        self._graph: Any = None
        self._step = max(1, math.ceil(fps / GIF_FPS - 1e-9))
        self._fps = fps
        self._given = self._written = 0

    def write(self, frame: np.ndarray) -> None:
        if self._given % self._step == 0:
            if self._graph is None:
                self._early.append(frame.copy())
                if len(self._early) == self._early_room:
                    self._begin()
            else:
                self._encode(frame)
        self._given += 1

    def close(self) -> None:
        try:
            if self._graph is None:
                self._begin()
            self._file.mux(self._stream.encode(None))
        finally:
            self._file.close()

    def _begin(self) -> None:
        """Chooses the palette from the frames so far, and writes them."""
        early, self._early = self._early, []
        height, width = early[0].shape[:2]
        graph: Any = av.filter.Graph()
        source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=_HUNDREDTH)
        colours = graph.add_buffer(width=16, height=16, format="bgra", time_base=_HUNDREDTH)
        use, sink = graph.add("paletteuse", "dither=none:diff_mode=rectangle"), graph.add("buffersink")
        source.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        self._graph, self._source = graph, source
        rgba = np.full((16, 16, 4), 255, np.uint8)
        rgba[..., :3] = _palette(early).reshape(16, 16, 3)
        palette = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")
        palette.pts, palette.time_base = 0, _HUNDREDTH
        colours.push(palette)
        colours.push(None)
        for frame in early:
            self._encode(frame)

    def _encode(self, frame: np.ndarray) -> None:
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = round(100 * self._written * self._step / self._fps), _HUNDREDTH
        self._written += 1
        self._source.push(picture)
        while True:
            try:
                self._file.mux(self._stream.encode(self._graph.pull()))
            except (av.error.BlockingIOError, av.error.EOFError):
                return


_HUNDREDTH = Fraction(1, 100)
"""The unit of time in a GIF, in seconds."""


def _palette(frames: Sequence[np.ndarray]) -> np.ndarray:
    """256 colours, uint8 [256, 3]: the 128 that show `frames` best, by median cut, and a cube of 125."""
    from PIL import Image

    sheet = np.concatenate(frames[:: max(1, len(frames) // 6)])
    seen = np.unique(np.stack([frame[::4, ::4] for frame in frames]).reshape(-1, 3), axis=0)
    if len(seen) <= 128:  # drawn with few colours: each as it is
        best = seen
    else:
        chosen = Image.fromarray(sheet).quantize(128, dither=Image.Dither.NONE).getpalette("RGB") or []
        best = np.array(chosen[: 128 * 3], np.uint8).reshape(-1, 3)
    level = np.array([0, 64, 128, 191, 255], np.uint8)
    cube = np.stack(np.meshgrid(level, level, level, indexing="ij"), -1).reshape(-1, 3)
    palette = np.concatenate([best, cube])
    return np.concatenate([palette, np.zeros((256 - len(palette), 3), np.uint8)])
