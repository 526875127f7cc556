"""Files that mean harm, or that are something else: each gets a CheckpointError of its own, quickly, and runs nothing."""

import gzip
import hashlib
import io
import json
import os
import pickle
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

import optimlab
from checkpoints import to_bytes
from optimlab.checkpoint import DIGEST, MAX_HEADER, CheckpointError, _decode


def raw(header, body=b"", length=None):
    """A file with this header, JSON or bytes, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def signed(data):
    """The file with a digest that is right."""
    digest = hashlib.sha256(data[: DIGEST.start] + b"0" * 64 + data[DIGEST.stop :]).hexdigest().encode()
    return data[: DIGEST.start] + digest + data[DIGEST.stop :]


def ours(tree, entries=None, body=b"", version="1", **more):
    """A file of ours with this tree, JSON or text, and a right digest."""
    tree = tree if isinstance(tree, str) else json.dumps(tree, separators=(",", ":"))
    metadata = {"format": "optimlab", "version": version, "sha256": "0" * 64, "tree": tree, **more}
    text = json.dumps({"__metadata__": metadata, **(entries or {})}, separators=(",", ":")).encode()
    return signed(raw(text + b" " * (-len(text) % 8), body))


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name, data in members.items():
            z.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def saved_by(function, *args):
    file = io.BytesIO()
    function(file, *args)
    return file.getvalue()


class Evil:
    """What a pickle can do: here it would end the process."""

    def __reduce__(self):
        return os._exit, (3,)


EIGHT, GOOD = bytes(8), {"w": entry()}
ONE = {"a": entry("F64", (1,))}
SMALL = to_bytes({"w": np.arange(2.0)})
DEEP = '{"list":[' * 65 + "1" + "]}" * 65
FILES = {
    # no safetensors files
    "empty": b"",
    "7 bytes": b"1234567",
    "8 zero bytes": EIGHT,
    "a text": b"once upon a time there was a model",
    "pickle": pickle.dumps({"w": Evil()}, protocol=4),
    "zip of torch.save": archive(archive__data_pkl=b"").replace(b"data_pkl", b"data.pkl"),
    "npz": saved_by(np.savez, np.zeros(3)),
    "npz bomb": saved_by(np.savez_compressed, np.zeros(3_000_000)),
    "npy": saved_by(np.save, np.zeros(3)),
    "zip": archive(model_safetensors=SMALL),
    "gzip": gzip.compress(SMALL),
    "hdf5": b"\x89HDF\r\n\x1a\n" + EIGHT,
    "html": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    # lengths
    "n = 2**64 - 1": raw(GOOD, EIGHT, 2**64 - 1),
    "n = 100 MB + 1": raw(GOOD, EIGHT, 100_000_001),
    "n just above what is read": raw(GOOD, EIGHT, MAX_HEADER + 1),
    "n beyond the file": raw(GOOD, EIGHT, 1000),
    "n = 0": raw(GOOD, EIGHT, 0),
    # headers
    "not UTF-8": raw(b'{"\xff": 1}'),
    "not JSON": raw(b"{w: 1}"),
    "a list": raw([GOOD]),
    "leading spaces": raw(b"   " + json.dumps(GOOD).encode(), EIGHT),
    "junk after JSON": raw(json.dumps(GOOD).encode() + b"}", EIGHT),
    "a name twice": raw(json.dumps(GOOD)[:-1].encode() + b"," + json.dumps(GOOD)[1:].encode(), EIGHT),
    "a field twice": raw(json.dumps(GOOD).replace('"dtype"', '"dtype": "F64", "dtype"').encode(), EIGHT),
    "100,000 deep": raw(b'{"w":' + b"[" * 100_000),
    "a name that is no text": raw({"\ud800": entry()}, EIGHT),
    "an integer of 5,000 digits": raw(b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}'),
    # arrays
    "no dtype": raw({"w": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT),
    "no shape": raw({"w": {"dtype": "F32", "data_offsets": [0, 8]}}, EIGHT),
    "an extra field": raw({"w": entry(strides=[4])}, EIGHT),
    "an array that is a number": raw({"w": 3}, EIGHT),
    "an array that is null": raw({"w": None}, EIGHT),
    "unknown dtype": raw({"w": entry("F31")}, EIGHT),
    "lower-case dtype": raw({"w": entry("f32")}, EIGHT),
    "dtype null": raw({"w": entry(None)}, EIGHT),
    "dtype a list": raw({"w": entry(["F32"])}, EIGHT),
    "bfloat16": raw({"w": entry("BF16", (4,))}, EIGHT),
    "a length below 0": raw({"w": entry(shape=(-4, -0.5))}, EIGHT),
    "a length of -2": raw({"w": entry(shape=(-2, -1))}, EIGHT),
    "a length of 2.0": raw({"w": entry(shape=(2.0,))}, EIGHT),
    "a length of '2'": raw({"w": entry(shape=("2",))}, EIGHT),
    "a length of true": raw({"w": entry(shape=(2, True))}, EIGHT),
    "an infinite length": raw({"w": entry(shape=(float("inf"),))}, EIGHT),
    "shape a number": raw({"w": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, EIGHT),
    "2**32 x 2**32": raw({"w": entry(shape=(2**32, 2**32))}, EIGHT),
    "a product that wraps to 2": raw({"w": entry(shape=(2**63 + 1, 2))}, EIGHT),
    "0 x 2**62": raw({"w": entry(shape=(0, 2**62), end=0)}, b""),
    "100,001 axes": raw({"w": entry(shape=(1,) * 100_001, end=4)}, bytes(4)),
    "33 axes": raw({"w": entry(shape=(2, *(1,) * 32))}, EIGHT),
    "a shape of other size": raw({"w": entry(shape=(3,))}, EIGHT),
    "offsets reversed": raw({"w": entry(begin=8, end=0)}, EIGHT),
    "an offset below 0": raw({"w": entry(begin=-8, end=0)}, EIGHT),
    "three offsets": raw({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}}, EIGHT),
    "one offset": raw({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8]}}, EIGHT),
    "an offset of 2**64": raw({"w": entry(begin=2**64 - 8, end=2**64)}, EIGHT),
    "an offset of 8.0": raw({"w": entry(end=8.0)}, EIGHT),
    "past the end": raw({"w": entry(), "x": entry(begin=8, end=16)}, EIGHT),
    "not from the beginning": raw({"w": entry(begin=4, end=12)}, bytes(12)),
    "a hole": raw({"w": entry(), "x": entry(begin=12, end=20)}, bytes(20)),
    "an overlap": raw({"w": entry(), "x": entry(begin=4, end=12)}, bytes(12)),
    "one place twice": raw({"w": entry(), "x": entry()}, EIGHT),
    "bytes too many": raw(GOOD, bytes(9)),
    "a byte short": raw(GOOD, bytes(7)),
    "a zip behind it": raw(GOOD, EIGHT + archive(payload=b"#!/bin/sh")),
    "a bool of 2": raw({"w": entry("BOOL", (3,), end=3)}, b"\0\1\2"),
    "metadata a number": raw({"__metadata__": {"epoch": 3}, **GOOD}, EIGHT),
    "metadata a list": raw({"__metadata__": ["format"], **GOOD}, EIGHT),
    "metadata null": raw({"__metadata__": None, **GOOD}, EIGHT),
    # files of ours, with a right digest but for the first
    "a digest that is wrong": SMALL[:-1] + b"\1",
    "format 2": ours(1, version="2"),
    "format 0": ours(1, version="0"),
    "a tree that is no JSON": ours("{"),
    "a tree that is too deep": ours(DEEP),
    "a tree that is deeper still": ours('{"list":[' * 100_000),
    "a key twice": ours({"dict": [["a", 1], ["a", 2]]}),
    "an object of two keys": ours('{"list":[],"tuple":[]}'),
    "a list as it is": ours("[1,2]"),
    "an unknown kind": ours({"os.system": ["true"]}),
    "an array that is missing": ours({"array": "a"}),
    "an array that is not named": ours(1, ONE, EIGHT),
    "an array named twice": ours({"list": [{"array": "b"}, {"array": "b"}]}, {"b": ONE["a"]}, EIGHT),
    "an array's name that is a list": ours({"array": ["b"]}, {"b": ONE["a"]}, EIGHT),
    "an array under another name": ours({"array": "c"}, {"c": ONE["a"]}, EIGHT),
    "a tensor of a dtype that no tensor has": ours({"tensor": "d"}, {"d": entry("U16", (4,))}, EIGHT),
    "a leaf of integers": ours({"leaf": "e"}, {"e": entry("I64", (1,))}, EIGHT),
    "a pair of three": ours({"dict": [["a", 1, 2]]}),
    "a dict that is a number": ours({"dict": 5}),
    "a key that is a list": ours({"dict": [[{"list": []}, 1]]}),
    "a key that is 0.5": ours({"dict": [[0.5, 1]]}),
    "a digit that is none": ours({"int": "0xg"}),
    "a float of three bytes": ours({"float": "7ff800"}),
    "a small number in words": ours({"int": "0x1"}),
    "other metadata": ours(1, note="x"),
}  # fmt: skip
# the checker is the digest's, so what makes the header take another form is told in the same words
FORM = {
    "format 0",
    "a key twice",
    "an array under another name",
    "a small number in words",
    "other metadata",
}


def message(data):
    with pytest.raises(CheckpointError) as caught:
        _decode(data)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_refused(name):
    text = message(FILES[name])
    assert "; " in text and len(text) < 1000  # what is wrong; what to do
    assert ("in the form in which optimlab writes it" in text) == (name in FORM)


def test_each_has_a_message_of_its_own():
    messages = [message(data) for name, data in FILES.items() if name not in FORM | {"npz bomb", "xml"}]
    assert len(set(messages)) == len(messages) >= 60


@pytest.mark.parametrize("name", FILES)
def test_refused_quickly_and_in_little_memory(name):
    data = FILES[name]
    start = time.process_time()
    message(data)
    assert time.process_time() - start < 0.1
    tracemalloc.start()
    try:
        message(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # a JSON list takes 8 bytes where its text takes 2; messages, tracebacks; Python 3.13 goes 10,000 lists deep
    assert peak < 4 * len(data) + 800_000


def test_odd_names_and_numbers_are_legal():
    """NaN data, and names that look like paths or markup, are legal; they are values and keys, nothing is done with them."""
    names = ["", "..", "../../etc/passwd", "a\0b", "<script>alert(1)</script>", "__class__"]
    entries = {name: entry("F32", (2,), 8 * i, 8 * i + 8) for i, name in enumerate(names)}
    found = _decode(raw(entries, np.full(12, np.nan, np.float32).tobytes()))
    assert list(found) == names and all(np.isnan(t.numpy()).all() for t in found.values())


def test_arrays_without_elements_may_lie_anywhere():
    found = _decode(raw({"b": entry(shape=(0,), begin=8), "w": entry(), "a": entry(shape=(2, 0), end=0)}, EIGHT))
    assert found["b"].shape == (0,) and found["a"].shape == (2, 0) and found["w"].tolist() == [0, 0]


def test_a_file_that_grows_while_it_is_read(tmp_path):
    class Growing(io.BytesIO):
        def read(self, *args):
            return super().read(*args) + b"more"

    with pytest.raises(CheckpointError, match="something was added"):
        optimlab.load(Growing(SMALL))


def test_a_header_longer_than_what_is_read():
    text = json.dumps(GOOD).encode()
    assert _decode(raw(text + b" " * (MAX_HEADER - len(text)), EIGHT))["w"].tolist() == [0, 0]
    with pytest.raises(CheckpointError, match="at most 16777216 are read"):
        _decode(raw(text + b" " * (MAX_HEADER + 1 - len(text)), EIGHT))
