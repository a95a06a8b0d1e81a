"""Values, arrays and files on disk: JSON and safetensors, never a pickle, each file replaced atomically.

The safetensors format is 8 bytes of header length, a JSON header and the arrays' bytes. The library (0.8) returns no
hash of a file that it writes, and its in-memory form is a second copy of the arrays; it stores no complex128 or text.
Measured on a busy machine, 61 MB of replay rows: writing 1.0 s, here 0.55 s; reading 0.26 s, here 0.05 s. An earlier
measurement, 706 MB: writing 4.8 to 7.3 s, here 5.2 to 6.2 s; reading 1.2 s, here 2.9 s. The tests read our files with
the library. Only values with tensors need torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import reprlib
import stat
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl.errors import InputError, RunError

SCHEMA = 1
"""Version of trees and manifests; a reader refuses other versions."""
Tree = Any
"""Nested dicts, lists and tuples of numbers, strings, bools, None, NumPy arrays and torch tensors."""
LARGEST_JSON = 32 << 20
"""Bytes of the largest JSON file that is read; a run or a comparison writes a hundredth of it."""
DEEPEST_JSON = 200
"""Levels of nesting that are read: a function that walks over the values must not run out of stack."""


class CheckpointError(InputError):
    """A checkpoint that is damaged, half-written, missing or of another schema; the message says which."""


def check_file(path: Path, record: Mapping[str, Any], by_hash: bool = True) -> None:
    """Raises `CheckpointError` unless the file has the recorded size and, if `by_hash`, SHA-256."""
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):
            raise CheckpointError(f"{path} is foreign: a link or another thing that is no plain file")
        if state.st_size != record["size"]:
            raise CheckpointError(f"{path} is damaged: {state.st_size} bytes, {record['size']} were written")
        if by_hash:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != record["sha256"]:
                raise CheckpointError(f"{path} is damaged: its SHA-256 differs from the manifest's")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def save_tree(folder: Path, name: str, tree: Tree) -> dict[str, dict[str, Any]]:
    """Writes `tree` as `name`.json and, if it holds arrays, `name`.safetensors; returns each file's size and SHA-256.

    Everything comes back equal and of the same type: integers of any size, floats bit for bit with nan and inf, tuples,
    dict keys that are no strings, NumPy scalars. Tensors come back on the CPU. Raises `TypeError` with the place of a
    value of another type, and `RunError` if the disk is full.
    """
    arrays: dict[str, Any] = {}
    packed = _pack(tree, "", arrays)
    files = {}
    if arrays:
        files[f"{name}.safetensors"] = write_arrays(Path(folder) / f"{name}.safetensors", arrays)
    files[f"{name}.json"] = write_json(Path(folder) / f"{name}.json", {"schema": SCHEMA, "tree": packed})
    return files


def load_tree(folder: Path, name: str) -> Tree:
    """Reads a tree of `save_tree`. Raises `CheckpointError` if it is damaged."""
    path = Path(folder) / f"{name}.json"
    document = read_json(path)
    if document.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} has schema {reprlib.repr(document.get('schema'))}, this version reads {SCHEMA}")
    try:
        arrays = path.with_name(f"{name}.safetensors")
        raw = {key: rest for key, *rest in _read_raw(arrays)} if arrays.exists() else {}
        names: set[str] = set()
        tree = _unpack(document["tree"], raw, names)
        if names and (extra := raw.keys() - names):  # without names, the file belongs to an older tree
            raise CheckpointError(f"{arrays} is damaged: it holds {min(extra)!r}, which {path.name} does not name")
        return tree
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SyntaxError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error!r}") from error


def plain(value: Any) -> Any:
    """`value` as strict JSON for people and other programs: nan and inf become None, arrays lists, other types text."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "tolist"):  # NumPy and torch
        return plain(value.tolist())
    return str(value)


def _pack(value: Any, path: str, arrays: dict[str, Any]) -> Any:
    """`value` as strict JSON. Arrays go to `arrays` under their path; types that JSON lacks become {"$...": ...}."""
    if isinstance(value, np.generic | np.ndarray) or _is_tensor(value):
        name = path or "array"
        while name in arrays or name == "__metadata__":
            name += "'"
        arrays[name] = np.asarray(value) if isinstance(value, np.generic) else value
        packed = {"$array": name, "dtype": _layout(arrays[name], path)[0]}
        return packed | {"scalar": True} if isinstance(value, np.generic) else packed
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < 10_000 else {"$int": hex(value)}  # Python limits long decimals
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, Mapping):
        items = [(k, _pack(v, f"{path}/{k}" if path else str(k), arrays)) for k, v in value.items()]
        if all(type(k) is str and not k.startswith("$") for k, _ in items):
            return dict(items)
        return {"$items": [[_pack(k, path, arrays), v] for k, v in items]}
    if isinstance(value, (list, tuple)):
        items = [_pack(v, f"{path}/{i}" if path else str(i), arrays) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise TypeError(f"cannot save {type(value).__name__} at {path or 'the top'!r}: trees hold numbers, text and arrays")


def _unpack(value: Any, raw: Mapping[str, Sequence[Any]], names: set[str]) -> Any:
    """The value of packed JSON. `raw`: (bytes, shape, stored dtype) by name; the names in use are added to `names`."""
    if isinstance(value, list):
        return [_unpack(v, raw, names) for v in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        data, shape, stored = raw[value["$array"]]
        if _DTYPES.get(value["dtype"], "U8") != stored:
            raise ValueError(f"{value['$array']!r} is {stored} in the file, not {value['dtype']}")
        names.add(value["$array"])
        array = _restore(data, shape, value["dtype"])
        return array[()] if value.get("scalar") else array
    if "$float" in value:
        return float(value["$float"])
    if "$int" in value:
        return int(value["$int"], 16)
    if "$tuple" in value:
        return tuple(_unpack(v, raw, names) for v in value["$tuple"])
    if "$items" in value:
        return {_unpack(k, raw, names): _unpack(v, raw, names) for k, v in value["$items"]}
    return {k: _unpack(v, raw, names) for k, v in value.items()}


_DTYPES = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<u2": "U16", "<i2": "I16", "<u4": "U32", "<i4": "I32", "<u8": "U64",
    "<i8": "I64", "<f2": "F16", "<f4": "F32", "<f8": "F64",
    "torch.bool": "BOOL", "torch.uint8": "U8", "torch.int8": "I8", "torch.uint16": "U16", "torch.int16": "I16",
    "torch.uint32": "U32", "torch.int32": "I32", "torch.uint64": "U64", "torch.int64": "I64", "torch.float16": "F16",
    "torch.bfloat16": "BF16", "torch.float32": "F32", "torch.float64": "F64", "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
}  # fmt: skip


_NUMPY = {stored: dtype for dtype, stored in _DTYPES.items() if not dtype.startswith("torch.")}
_CHUNK = 1 << 22


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Writes arrays and tensors by name as one safetensors file, atomically; returns its `size` and `sha256`.

    Dtypes that the format lacks (complex, text, big-endian) are stored as U8 with a last axis of their bytes.
    """
    layouts = {name: _layout(array, name) for name, array in arrays.items()}
    order = sorted(arrays, key=lambda name: -layouts[name][3])  # wide items first, so that each is aligned
    header, offset = {}, 0
    for name in order:
        _, stored, shape, width = layouts[name]
        end = offset + math.prod(shape) * (1 if stored == "U8" else width)
        header[name] = {"dtype": stored, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _write(path, _chunks([struct.pack("<Q", len(text)) + text], (arrays[name] for name in order)))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, each with memory of its own, writable."""
    arrays = {}
    for name, data, shape, stored in _read_raw(path):
        if stored not in _NUMPY:
            raise CheckpointError(f"{path}: NumPy has no dtype for {stored}, of {name!r}")
        try:
            arrays[name] = data.view(_NUMPY[stored]).reshape(shape)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged: {name!r}: {error}") from None
    return arrays


def _layout(array: Any, path: str) -> tuple[str, str, list[int], int]:
    """(dtype, stored dtype, stored shape, bytes of one item)."""
    if isinstance(array, np.ndarray):
        dtype, width = array.dtype.str, array.dtype.itemsize
        if array.dtype.hasobject or array.dtype.names or width == 0:
            raise TypeError(f"cannot save an array of dtype {array.dtype} at {path!r}")
    else:
        dtype, width = str(array.dtype), array.element_size()
        if str(array.layout) != "torch.strided" or array.is_quantized or array.is_meta:
            raise TypeError(f"cannot save a sparse, quantized or meta tensor at {path!r}")
    shape = [int(n) for n in array.shape]
    stored = _DTYPES.get(dtype)
    return (dtype, stored, shape, width) if stored else (dtype, "U8", [*shape, width], width)


def _restore(data: np.ndarray, shape: tuple[int, ...], dtype: str) -> Any:
    shape = shape if dtype in _DTYPES else shape[:-1]
    if not dtype.startswith("torch."):
        if np.dtype(dtype).hasobject:
            raise ValueError(f"dtype {dtype} holds Python objects")
        return data.view(dtype).reshape(shape)
    import torch

    kind: torch.dtype = getattr(torch, dtype.removeprefix("torch."))
    if not isinstance(kind, torch.dtype):
        raise ValueError(f"{dtype} is no dtype")
    if not data.size:
        if 0 not in shape:
            raise ValueError(f"no data for the shape {shape}")
        return torch.empty(shape, dtype=kind)
    if kind.is_complex:
        return torch.view_as_complex(torch.from_numpy(data).view(kind.to_real()).reshape(*shape, 2))
    return torch.from_numpy(data).view(kind).reshape(shape)


def _bytes_of(array: Any) -> np.ndarray:
    """The array's elements in C order as uint8 [bytes], without a copy if it is contiguous and on the CPU."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    import torch

    tensor = array.detach().cpu().resolve_conj().resolve_neg().contiguous()
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _chunks(head: Iterable[bytes], arrays: Iterable[Any]) -> Iterator[memoryview | bytes]:
    yield from head
    for array in arrays:
        view = _bytes_of(array).data
        for at in range(0, len(view), _CHUNK):
            yield view[at : at + _CHUNK]


def _read_raw(path: Path) -> Iterator[tuple[str, np.ndarray, tuple[int, ...], str]]:
    """(name, uint8 [bytes], shape, stored dtype) of each array."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size:
                raise ValueError("header longer than the file")
            header = parse_json(file.read(min(length, LARGEST_JSON + 1)))
            header.pop("__metadata__", None)
            left = size - 8 - length  # arrays that share bytes could fill the memory from a small file
            for name, entry in header.items():
                begin, end = entry["data_offsets"]
                if not 0 <= begin <= end <= size - 8 - length:
                    raise ValueError("data beyond the end of the file")
                left -= end - begin
                if left < 0:
                    raise ValueError("arrays that share their bytes")
                data = np.empty(end - begin, np.uint8)
                file.seek(8 + length + begin)
                if file.readinto(data.data) != end - begin:
                    raise ValueError("truncated")
                yield name, data, tuple(entry["shape"]), entry["dtype"]
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # imported already if there is a tensor
    return torch is not None and isinstance(value, torch.Tensor)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces the file at `path`: at every moment, also after a kill, the old or the new file is there, whole.

    Raises `RunError` if the write fails, for example on a full disk; then the old file is unchanged.
    """
    _write(Path(path), [data])


def _write(path: Path, chunks: Iterable[memoryview | bytes]) -> dict[str, Any]:
    temporary = path.with_name(f".{path.name}.tmp")
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                while len(chunk):
                    chunk = chunk[os.write(descriptor, chunk) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        rename(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise failed_write(path, error) from error
        raise
    return {"size": size, "sha256": digest.hexdigest()}


def failed_write(path: Path, error: OSError) -> RunError:
    """The error for a write that the system refused."""
    if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
        return RunError(f"the disk is full: {path} was not written, earlier saves are intact; free some space")
    return RunError(f"could not write {path}: {error.strerror or error}; earlier saves are intact")


def rename(source: Path, target: Path) -> None:
    """A durable rename. Tried again on Windows, where a reader or a virus scanner may hold the target briefly."""
    for wait in (0.05, 0.2, 1.0, None):
        try:
            os.replace(source, target)
            break
        except PermissionError:
            if wait is None or os.name != "nt":
                raise
            time.sleep(wait)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no such call; NTFS journals its renames
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> dict[str, Any]:
    """Replaces the file at `path` by strict JSON, atomically; returns its `size` and `sha256`."""
    return _write(path, [(json.dumps(value, allow_nan=False, indent=1) + "\n").encode()])


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `CheckpointError`, within a second, if it is missing or damaged."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait
            raise ValueError("not a plain file")
        with open(path, "rb") as file:
            value = parse_json(file.read(LARGEST_JSON + 1))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is damaged: not an object")
    return value


_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(data: bytes) -> Any:
    """The value of a JSON text from outside. Raises `ValueError` if it is no JSON, too large or nested too deeply."""
    if len(data) > LARGEST_JSON:
        raise ValueError(f"larger than {LARGEST_JSON >> 20} MB")
    if data.count(b"[") + data.count(b"{") > DEEPEST_JSON:
        brackets = np.frombuffer(_TEXTS.sub(b"", data).translate(None, _NO_BRACKETS), np.uint8)
        steps = np.where(np.isin(brackets, np.frombuffer(b"[{", np.uint8)), 1, -1)
        if len(steps) and np.cumsum(steps, dtype=np.int64).max() > DEEPEST_JSON:
            raise ValueError(f"nested more than {DEEPEST_JSON} levels deep")
    return json.loads(data)
