"""Checkpoints: nested state in one file that others can read, that no damage slips into, and that runs no code.

A file is a safetensors file in one canonical form, so the same state gives the same bytes on every machine:

    8 bytes   n, the length of the header, little-endian
    n bytes   JSON: first {"__metadata__": {"format", "version", "sha256", "tree"}, then for each array its name and
              {"dtype", "shape", "data_offsets"}, ordered by item size and name; spaces fill up to a multiple of 8
    the rest  the numbers: little-endian, in C order, without gaps

``tree`` is JSON once more: the nested value. None, bool, int, float and str stand for themselves; everything else is an object
with one key that tells its type, {"list": [...]}, {"dict": [[key, value], ...]}, {"tensor": name of the array}. ``sha256`` is
the digest of the whole file with 64 zeros in its own place. It tells damage; it does not tell who wrote the file.

存档：嵌套的状态写进一个 safetensors 文件；文件损坏一定被发现，读取时不会运行任何代码。
"""

import errno
import hashlib
import io
import json
import math
import os
import re
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from optimlab.dtype import DTYPES, Size
from optimlab.files import replacing
from optimlab.nn import Parameter
from optimlab.tensor import Tensor

FORMAT = 1
START = b'{"__metadata__":{"format":"optimlab","version":"%d","sha256":"' % FORMAT
DIGEST = slice(8 + len(START), 8 + len(START) + 64)  # where the digest stands in the file
MAX_HEADER, MAX_DEPTH, MAX_DIMS = 16 << 20, 64, 32
CHUNK = 1 << 20
TYPES = {"BOOL": np.dtype("?")} | {f"F{n}": np.dtype(f"<f{n // 8}") for n in (16, 32, 64)}
TYPES |= {f"{kind}{n}": np.dtype(f"<{kind.lower()}{n // 8}") for n in (8, 16, 32, 64) for kind in "UI"}
NAMES = {dtype: code for code, dtype in TYPES.items()}
NAMES_TEXT = ", ".join(dtype.name for dtype in NAMES)
CONTAINERS: dict[str, Any] = {kind.__name__: kind for kind in (dict, OrderedDict, Counter, list, tuple, Size)}
ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "tensor": Tensor._wrap,
    "leaf": lambda array: Tensor._wrap(array).requires_grad_(),
    "parameter": lambda array: Parameter(Tensor._wrap(array)),
    "frozen": lambda array: Parameter(Tensor._wrap(array), requires_grad=False),
    "array": lambda array: array,
    "scalar": lambda array: array[()],
}
RECIPE = """\
import torch, optimlab
def plain(x):
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().contiguous()
        return optimlab.from_numpy((x.float() if x.dtype == torch.bfloat16 else x).numpy())
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return (list if isinstance(x, list) else tuple)(map(plain, x))
    return x
optimlab.save(plain(torch.load("old.pt", map_location="cpu", weights_only=True)), "new.safetensors")
"""
CONVERT = "convert it once, where torch is installed:\n\n" + RECIPE
# how files begin that are taken for checkpoints: pattern, what it is, what to do
OTHERS: list[tuple[bytes, str, str]] = [
    (rb"\Z", "it is empty", "restore it from a copy"),
    (rb"PK\x03\x04.{26}[^\0]*?\.npy", "it is a NumPy .npz archive", "read it by numpy.load, and save what it holds"),
    (rb"PK\x03\x04.{26}[^\0]*?data\.pkl", "it was written by torch.save as a pickle: reading it can run code", CONVERT),
    (rb"PK\x03\x04", "it is a zip archive", "unpack it, and load the .safetensors file in it"),
    (rb"\x80[\x02-\x05]", "it is a pickle, as torch.save wrote until 2020: reading it can run code", CONVERT),
    (rb"\x93NUMPY", "it is a NumPy .npy file", "read it by numpy.load, and save the array"),
    (rb"\x89HDF", "it is an HDF5 file, as Keras writes", "read it by h5py, and save what it holds"),
    (rb"\x1f\x8b", "it is compressed by gzip", "unpack it by gunzip"),
    (rb"version https://git-lfs", "it is a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    (rb"\s*<(?i:!doctype|html|\?xml)", "it is a web page, perhaps an error page", "download the file again"),
]  # fmt: skip


Arrays = dict[str, np.ndarray]


class CheckpointError(ValueError):
    """A file that cannot be loaded: which, why, and what to do. 无法载入的存档文件。"""


def _refuse(what: str, advice: str = "restore it from a copy, or save it again") -> NoReturn:
    raise CheckpointError(f"{what}; {advice}")


# ---- from a value to the parts of a file


def _node(value: Any, arrays: Arrays, where: str = "obj", name: str | None = None, depth: int = 0) -> Any:
    """What stands for ``value`` in the tree. Its arrays are put into ``arrays`` under names made of the keys that lead there."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise TypeError(f"{where[:200]}… is nested deeper than {MAX_DEPTH} levels; does obj contain itself?")
    if value is None or kind in (bool, str):
        return value
    if kind is int:  # in hexadecimal of any length: decimal digits are limited, and slow
        return value if value.bit_length() < 64 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    if kind in CONTAINERS.values():
        inside = f"{name}/" if name is not None else ""
        items: list[Any] = []
        if not issubclass(kind, dict):
            for i, x in enumerate(value):
                items.append(_node(x, arrays, f"{where}[{i}]", f"{inside}{i}", depth + 1))
            return {kind.__name__: items}
        numbers = {str(key) for key in value if type(key) is int}
        for key, x in value.items():
            there = f"{where}[{key!r:.80}]"
            if type(key) is not str and not (type(key) is int and key.bit_length() < 64):
                raise TypeError(f"{there}: a key must be a str, or an int of less than 64 bits, to be saved")
            label = re.sub("[~/\ud800-\udfff]", lambda m: f"~{ord(m[0]):x}", str(key))
            if (type(key) is str and key in numbers) or inside + label == "__metadata__":
                label += "~"  # no other name ends so
            items.append([key, _node(x, arrays, there, inside + label, depth + 1)])
        return {kind.__name__: items}
    if kind is Tensor:
        tag, array = ("leaf" if value.requires_grad else "tensor"), value._array
    elif kind is Parameter:
        tag, array = ("parameter" if value.requires_grad else "frozen"), value._array
    elif kind is np.ndarray or isinstance(value, np.generic):
        tag, array = ("array" if kind is np.ndarray else "scalar"), np.asarray(value)
    else:
        raise TypeError(
            f"{where} is of type {kind.__module__}.{kind.__qualname__}, which cannot be saved; make it of tensors, NumPy arrays, "
            f"numbers, str, None, {', '.join(CONTAINERS)}: of an object save its state_dict()"
        )
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{where} is a sparse tensor, which cannot be saved; save .to_dense(), or its indices and values"
        )
    if array.dtype not in NAMES:
        raise TypeError(f"{where} has dtype {array.dtype.str}, which cannot be saved; convert it to {NAMES_TEXT}")
    arrays[name or ""] = array
    return {tag: name or ""}


def _encode(value: Any) -> tuple[bytes, list[np.ndarray]]:
    """The first part of the file, with zeros for the digest, and the arrays that follow, in their order."""
    arrays: Arrays = {}
    tree = json.dumps(_node(value, arrays), separators=(",", ":"), allow_nan=False)
    header: dict[str, Any] = {}
    end = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):  # each at a multiple of its size
        begin, end = end, end + arrays[name].nbytes
        shape = list(arrays[name].shape)
        header[name] = {"dtype": NAMES[arrays[name].dtype], "shape": shape, "data_offsets": [begin, end]}
    metadata = {"format": "optimlab", "version": str(FORMAT), "sha256": "0" * 64, "tree": tree}
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, [arrays[name] for name in header]


def _write(value: Any, file: Any) -> None:
    """Write a whole file into ``file``, which is at its beginning. The digest is that of the bytes written, so it comes last."""
    header, arrays = _encode(value)
    if len(header) - 8 > MAX_HEADER:
        raise TypeError(f"obj has too many parts: {len(header) - 8} bytes of header, at most {MAX_HEADER}; split it")
    digest = hashlib.sha256(header)
    file.write(header)
    for array in arrays:
        if array.dtype.kind == "b":
            array = array.view(np.uint8) != 0  # True is 1 in a file, however it came about
        numbers = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, numbers.size, CHUNK):  # a copy each, in case another thread goes on training
            chunk = numbers[start : start + CHUNK].tobytes()
            digest.update(chunk)
            file.write(chunk)
    file.seek(DIGEST.start)
    file.write(digest.hexdigest().encode())


# ---- from a file to a value


def _check_start(data: bytes) -> None:
    """Refuse what is no safetensors file, by its name where it has one."""
    if data[8:9] != b"{":
        for pattern, what, advice in OTHERS:
            if re.match(pattern, data[:1000], re.DOTALL):
                _refuse(what, advice)
        if len(data) < 9:
            _refuse(f"it has only {len(data)} bytes: its beginning was cut off or never written")
        _refuse(f"it is no safetensors file: byte 8 is {data[8:9]!r}, where its header must begin with '{{'")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice!r:.60} stands twice")
    return found


def _json(text: bytes | str, what: str) -> Any:
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        _refuse(f"its {what} is no valid JSON: {error}")


def _are_sizes(x: Any, most: int) -> bool:
    """Whether x is a list of at most ``most`` integers from 0, whose product (zeros aside) a memory could hold."""
    whole = isinstance(x, list) and len(x) <= most and all(type(n) is int and n >= 0 for n in x)
    return whole and math.prod(n or 1 for n in x) < 1 << 59


def _views(entries: dict[str, Any], body: memoryview) -> Arrays:
    """The arrays of a file by name, each a view of its bytes: checked one by one, and filling the file without a gap."""
    found = {}
    places = []
    for name, entry in entries.items():
        it = f"array {name!r:.60}"
        if any("\ud800" <= c <= "\udfff" for c in name):
            _refuse(f"the name of {it} is no Unicode text")
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            _refuse(f"{it} must have dtype, shape, data_offsets and nothing else, not {entry!r:.80}")
        code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(code, str) or code not in TYPES:
            advice = "convert it, in torch by tensor.float(); the dtypes read are"
            _refuse(f"{it} has dtype {code!r:.60}", f"{advice} {', '.join(TYPES)}")
        if not _are_sizes(shape, MAX_DIMS):
            _refuse(f"{it} has shape {shape!r:.60}, which is no list of at most {MAX_DIMS} lengths that fit in memory")
        if not _are_sizes(offsets, 2) or len(offsets) != 2:
            _refuse(f"{it} has data_offsets {offsets!r:.60}, which are no two positions")
        begin, end = offsets
        if end - begin != (size := math.prod(shape) * TYPES[code].itemsize):
            _refuse(f"{it} lies from {begin} to {end}, but {code} of shape {shape!r:.60} takes {size} bytes")
        places.append((begin, end, name))
    at = 0
    for begin, end, name in sorted(places):
        if begin != at:
            _refuse(f"array {name!r:.60} begins at {begin}, where the one before ends at {at}")
        at = end
    if at != len(body):
        _refuse(
            f"its arrays take {at} bytes, but {len(body)} follow its header: it was cut off, or something was added"
        )
    for begin, _, name in places:
        array = found[name] = np.ndarray(entries[name]["shape"], TYPES[entries[name]["dtype"]], body, begin)
        if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
            _refuse(f"array {name!r:.60} is of bools, but has bytes other than 0 and 1")
    return found


def _value(node: Any, arrays: Arrays, depth: int = 0) -> Any:
    """The value that a node of the tree stands for; takes its arrays out of ``arrays``."""
    if depth > MAX_DEPTH:
        _refuse(f"its tree is deeper than {MAX_DEPTH} levels")
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if not isinstance(node, dict) or len(node) != 1:
        _refuse(f"its tree holds {node!r:.60}, which is no object with one key")
    ((tag, inside),) = node.items()
    if tag == "int":
        return int(inside, 16)
    if tag == "float":
        return struct.unpack(">d", bytes.fromhex(inside))[0]
    if tag in CONTAINERS:
        if issubclass(CONTAINERS[tag], dict):
            return CONTAINERS[tag]({key: _value(x, arrays, depth + 1) for key, x in inside})
        return CONTAINERS[tag]([_value(x, arrays, depth + 1) for x in inside])
    if tag not in ARRAYS:
        _refuse(f"its tree holds a {tag!r:.60}, which optimlab does not know")
    if inside not in arrays:
        _refuse(f"its tree names array {inside!r:.60}, which is not there or was named before")
    array = arrays.pop(inside).copy()
    if tag not in ("array", "scalar") and array.dtype not in DTYPES:
        _refuse(f"its tree makes a tensor of {inside!r:.60}, whose dtype {array.dtype} no tensor has")
    return ARRAYS[tag](array)


def _restore(data: memoryview, length: int, metadata: dict[str, str], arrays: Arrays) -> Any:
    """The value in a file of ours, once the digest is right and ``save`` would write the very same header."""
    version = metadata.get("version", "")
    if re.fullmatch("[1-9][0-9]{0,5}", version) and int(version) > FORMAT:
        _refuse(f"it is written in format {version}, this optimlab reads up to {FORMAT}", "upgrade optimlab")
    digest = hashlib.sha256(data[: DIGEST.start])
    digest.update(b"0" * 64)
    digest.update(data[DIGEST.stop :])
    if bytes(data[DIGEST]) != digest.hexdigest().encode():
        _refuse("it is damaged: its SHA-256 is not the one it was saved with", "restore it from a copy")
    try:
        left = dict(arrays)
        value = _value(_json(metadata.get("tree", ""), "tree"), left)
        if left:
            _refuse(f"its tree does not name array {next(iter(left))!r:.60}")
        expected, _ = _encode(value)
    except CheckpointError:
        raise
    except (TypeError, ValueError, OverflowError, RuntimeError, struct.error) as error:
        _refuse(f"its tree makes no value: {error}")
    expected = expected[: DIGEST.start] + data[DIGEST] + expected[DIGEST.stop :]
    if data[: 8 + length] != expected:
        _refuse("its header is not in the form in which optimlab writes it", "write it by optimlab.save")
    return value


def _decode(data: bytes) -> Any:
    """The value in the bytes of a file. Every check is made here; raises nothing but CheckpointError."""
    _check_start(data)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        _refuse(f"its header claims {length} bytes; at most {MAX_HEADER} are read")
    if length > len(data) - 8:
        _refuse(f"its header claims {length} bytes, but only {len(data) - 8} follow: it was cut off")
    header = _json(data[8 : 8 + length], "header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        _refuse(f"its __metadata__ is {metadata!r:.60}, not an object of texts")
    view = memoryview(data)
    arrays = _views(header, view[8 + length :])
    # one of our words makes a file ours, so that damage to the others cannot make it a foreign one, which has no digest
    if "optimlab" in metadata.values() or "sha256" in metadata or "tree" in metadata:
        return _restore(view, length, metadata, arrays)
    copies = {name: array.copy() for name, array in arrays.items()}
    return {name: Tensor._wrap(array) if array.dtype in DTYPES else array for name, array in copies.items()}


# ---- what programs call


def save(obj: Any, f: Any) -> None:
    """Save nested state: tensors, parameters, NumPy arrays and scalars, numbers, str, None, in dicts, lists and tuples.

    把嵌套的状态（例如 ``state_dict()``）存成一个文件；中途断电或磁盘写满，原来的文件都完好无损。

    obj: what to save; keys are str or int. ``load`` gives back a value equal in type and bits; of a tensor the numbers and
    ``requires_grad``, not its history or ``grad``. Tensors that share memory come back with memory of their own.
    f: a path, or a file open for writing bytes. A file at the path is replaced in one moment, when all is on disk.

    Raises TypeError, naming the place in obj, for what could not come back equal; RuntimeError where the folder does not exist;
    OSError where the disk refuses. After any error the file is as before.
    """
    if hasattr(f, "write"):
        buffer = io.BytesIO()
        _write(obj, buffer)
        rest = buffer.getbuffer()
        while len(rest):
            written = f.write(rest)  # a raw file may take only a part
            rest = rest[len(rest) if written is None else written :]
        return
    path = _path(f, "wb")
    if os.path.isfile(path) or not os.path.exists(path):
        with replacing(path) as file:
            _write(obj, file)
    else:  # a device or a pipe is not to be replaced
        with open(path, "wb") as file:
            save(obj, file)


def load(f: Any, map_location: Any = None, *, weights_only: bool | None = None, mmap: bool | None = None) -> Any:
    """Load what ``save`` saved. Another safetensors file becomes a dict of tensors (of arrays, where no tensor has the dtype).

    读取 ``save`` 存下的内容；也能读普通的 safetensors 文件。文件有任何损坏都会报错，绝不运行文件里的代码。

    f: a path, or a file open for reading bytes, which is read to its end. map_location: None or the CPU, where all tensors are;
    a function or dict is accepted and not needed. weights_only, mmap: accepted; there is never anything but data.

    Raises CheckpointError where the file is damaged or of another kind: files of ``torch.save`` are pickles, and the message says
    how to convert them. FileNotFoundError and other kinds of OSError come as from ``open``.
    """
    known = map_location is None or callable(map_location) or isinstance(map_location, dict)
    if not known and str(map_location) not in ("cpu", "cpu:0"):
        raise RuntimeError(f"Invalid map_location: {map_location!r}; there is the CPU only: leave it out or pass 'cpu'")
    if not hasattr(f, "read"):
        with open(_path(f, "rb"), "rb") as file:
            return load(file)
    try:
        if hasattr(f, "peek"):  # what is no checkpoint need not be read whole
            _check_start(f.peek(1000))
        data = f.read()
        if isinstance(data, str):
            raise TypeError("f must be opened for reading bytes: open(path, 'rb')")
        return _decode(bytes(data))
    except CheckpointError as error:
        raise CheckpointError(f"cannot load {getattr(f, 'name', f'from {type(f).__name__}')}: {error}") from None


def _path(f: Any, mode: str) -> str:
    if not isinstance(f, (str, bytes, os.PathLike)):
        raise TypeError(
            f"Invalid f: {f!r:.60}; f must be a path or a file opened with {mode!r}, not {type(f).__name__}"
        )
    path = os.fsdecode(f)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file in it", path)
    return path
