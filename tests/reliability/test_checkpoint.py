"""Checkpoints: what is saved comes back equal in type and bits, in one canonical file that others can read."""

import io
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections import OrderedDict, defaultdict, namedtuple
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import optimlab
from cases import OPTIMIZERS, PROBLEMS, flat, label
from checkpoints import DTYPE_NAMES, GOLDEN, everything, same, small_files, to_bytes, training
from optimlab.checkpoint import RECIPE, CheckpointError
from oracle import as_given
from schedules import SCHEDULES, default_dtype, rates, schedule_begin, schedule_step

# ---- what comes back


@pytest.mark.parametrize("key", everything())
def test_everything_comes_back(key):
    value = everything()[key]
    assert same(optimlab.load(io.BytesIO(to_bytes(value))), value)


def test_everything_at_once_and_save_load_save_gives_the_same_bytes():
    first = to_bytes(everything())
    again = optimlab.load(io.BytesIO(first))
    assert same(again, everything()) and to_bytes(again) == first


KEYS = st.text(max_size=5) | st.integers(-(2**63) + 1, 2**63 - 1)
ARRAYS = st.sampled_from(DTYPE_NAMES).flatmap(
    lambda name: st_numpy.arrays(name, st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | ARRAYS
VALUES = st.recursive(
    LEAVES | ARRAYS.filter(lambda a: a.dtype.name in ("float32", "int64")).map(optimlab.from_numpy),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.lists(inside, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inside, max_size=4)
        | st.dictionaries(KEYS, inside, max_size=4).map(OrderedDict)
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_value_comes_back(value):
    data = to_bytes(value)
    again = optimlab.load(io.BytesIO(data))
    assert same(again, value) and to_bytes(again) == data
    safetensors.numpy.load(data)


class Color(IntEnum):
    RED = 1


loop: list = []
loop.append(loop)
deep: list = []
for _ in range(65):
    deep = [deep]
REFUSED = {
    "set": ({"a": [1, {2}]}, r"obj\['a'\]\[1\] is of type builtins.set"),
    "object": ((object(),), r"obj\[0\] is of type builtins.object"),
    "function": ({"f": len}, r"obj\['f'\] is of type builtins.builtin_function"),
    "bytes": (b"", "obj is of type builtins.bytes"),
    "complex": ([1j], r"obj\[0\] is of type builtins.complex"),
    "a default factory": (defaultdict(list), "obj is of type collections.defaultdict"),
    "a named tuple": ([namedtuple("P", "x")(1)], r"obj\[0\] is of type .*P"),
    "an enum": ([Color.RED], r"obj\[0\] is of type .*Color"),
    "a masked array": (np.ma.array([1.0]), "obj is of type numpy.ma.*MaskedArray"),
    "a model": (optimlab.nn.Linear(1, 1), "obj is of type optimlab.*Linear.*save its state_dict"),
    "a key of float": ({"a": {0.5: 1}}, r"obj\['a'\]\[0.5\]: a key must be"),
    "a key of bool": ({True: 1}, r"obj\[True\]: a key must be"),
    "a key of None": ({None: 1}, r"obj\[None\]: a key must be"),
    "a long key": ({2**63: 1}, r"obj\[9223372036854775808\]: a key must be"),
    "a string of NumPy": (np.str_("a"), "obj has dtype <U1"),
    "strings": (np.array(["a"]), "obj has dtype <U1"),
    "objects": (np.array([None]), "obj has dtype .O"),
    "complex numbers": ([np.zeros(1, complex)], r"obj\[0\] has dtype <c16"),
    "foreign bytes": (np.zeros(2, ">f4"), "obj has dtype >f4"),
    "dates": (np.datetime64("2020-01-01"), "obj has dtype <M8"),
    "a sparse tensor": ([optimlab.sparse_coo_tensor([[0]], [1.0], (2,))], r"obj\[0\] is a sparse tensor"),
    "itself": (loop, r"obj\[0\]\[0\].* is nested deeper than 64 levels"),
    "depth": (deep, r"obj\[0\]\[0\].* is nested deeper than 64 levels"),
    "long doubles": ({"x": np.longdouble(1)}, r"obj\['x'\] has dtype"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_come_back_is_refused_by_its_place(tmp_path, name):
    value, message = REFUSED[name]
    path = tmp_path / "x"
    optimlab.save(1, path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match=f"^{message}"):
        optimlab.save(value, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x"]


def test_the_deepest_that_can_be_saved_can_be_loaded():
    value: object = optimlab.tensor(1.0)
    for i in range(64):
        value = {"k": value} if i % 2 else (value,)
    assert same(optimlab.load(io.BytesIO(to_bytes(value))), value)


def test_a_header_that_could_not_be_loaded_is_not_saved():
    with pytest.raises(TypeError, match=r"too many parts: .* bytes of header"):
        to_bytes(["x" * (17 << 20)])


def test_loaded_arrays_have_memory_of_their_own():
    weight = optimlab.tensor([1.0, 2.0])
    tied = optimlab.load(io.BytesIO(to_bytes({"a": weight, "b": weight, "half": weight[:1], "c": np.ones(3)})))
    tied["a"][0] = 9.0
    tied["c"][0] = 9.0
    assert tied["b"].tolist() == [1.0, 2.0] and tied["half"].tolist() == [1.0] and tied["c"].base is None


def test_history_and_grad_stay_behind():
    w = optimlab.tensor([1.0], requires_grad=True)
    (w * 2).sum().backward()
    computed, leaf = optimlab.load(io.BytesIO(to_bytes([w * 2, w])))
    assert computed.is_leaf and computed.requires_grad and leaf.grad is None


def test_true_however_it_is_stored():
    assert optimlab.load(io.BytesIO(to_bytes(np.array([2, 0], np.uint8).view(bool)))).tobytes() == b"\1\0"


# ---- state dicts


WITH_MATRICES = [
    case for case in flat(OPTIMIZERS) if "groups" not in case[1] and {"gradients", "matrices"} & set(PROBLEMS[case[0]])
]


@pytest.mark.parametrize(("name", "options"), [pytest.param(*case, id=label(*case)) for case in WITH_MATRICES])
def test_states_of_optimizers(name, options):
    """Stopped, saved and begun anew, they go on as if nothing had happened."""

    def begin(w):
        return getattr(optimlab.optim, name)([w], **as_given(optimlab, options))

    ends = []
    with default_dtype(optimlab, "float64"):
        for stop in (None, 2):
            targets = np.random.RandomState(0).standard_normal((4, 2, 3))
            w = optimlab.zeros(2, 3, requires_grad=True)
            optimizer = begin(w)
            for t in range(4):
                if t == stop:
                    saved = to_bytes({"w": w.detach(), "optimizer": optimizer.state_dict()})
                    loaded = optimlab.load(io.BytesIO(saved))
                    assert same(loaded["optimizer"], optimizer.state_dict())
                    w = loaded["w"].requires_grad_()
                    optimizer = begin(w)
                    optimizer.load_state_dict(loaded["optimizer"])

                def closure(w=w, target=targets[t]):
                    w.grad = None
                    loss = ((w - optimlab.tensor(target)) ** 2).sum()
                    loss.backward()
                    if name == "SparseAdam":
                        w.grad = w.grad.to_sparse()
                    return loss

                optimizer.step(closure)
            ends.append(w.detach().numpy())
    assert ends[0].tobytes() == ends[1].tobytes()


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_states_of_schedules(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own examples some step oddly
        optimizer, schedule = schedule_begin(optimlab, case, tensor_lr=True)
        for epoch in range(8):
            if epoch == 3:
                saved = [optimizer.state_dict(), schedule.state_dict()]
                loaded = optimlab.load(io.BytesIO(to_bytes(saved)))
                assert same(loaded, saved)
                again, resumed = schedule_begin(optimlab, case, tensor_lr=True)
                again.load_state_dict(loaded[0])
                resumed.load_state_dict(loaded[1])
            schedule_step(optimizer, schedule, case, epoch)
            if epoch >= 3:
                schedule_step(again, resumed, case, epoch)
                assert rates(again) == rates(optimizer)


def test_states_of_modules(tmp_path):
    def begin():
        optimlab.manual_seed(0)
        conv, norm = optimlab.nn.Conv2d(1, 2, 3), optimlab.nn.BatchNorm2d(2)
        return optimlab.nn.Sequential(conv, norm, optimlab.nn.Flatten(), optimlab.nn.Linear(8, 3))

    net, again = begin(), begin()
    for _ in range(2):
        net(optimlab.randn(5, 1, 4, 4))  # moves the running averages
    optimlab.save(net.state_dict(), tmp_path / "net.safetensors")
    state = optimlab.load(tmp_path / "net.safetensors")
    assert same(state, net.state_dict()) and state["1.num_batches_tracked"].item() == 2
    assert str(again.load_state_dict(state)) == "<All keys matched successfully>"
    x = optimlab.randn(3, 1, 4, 4)
    assert same(again.eval()(x).detach(), net.eval()(x).detach())


# ---- files


def test_paths_and_files(tmp_path):
    value = {"w": optimlab.tensor([1.0])}
    paths = [str(tmp_path / "a"), tmp_path / "b", os.fsencode(tmp_path / "c")]
    for path in paths:
        optimlab.save(value, path)
        assert same(optimlab.load(path), value)
    with open(tmp_path / "d", "wb", buffering=0) as file:
        optimlab.save(value, file)
    with open(tmp_path / "d", "rb", buffering=0) as file:
        assert same(optimlab.load(file), value)
    assert len({Path(os.fsdecode(p)).read_bytes() for p in [*paths, tmp_path / "d"]}) == 1
    with open(tmp_path / "e", "w+b") as file:  # from where the file stands
        file.write(b"before")
        optimlab.save(value, file)
        file.seek(6)
        assert same(optimlab.load(file), value)


def test_a_file_that_takes_a_little_at_a_time():
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, data):
            self.taken += bytes(data[:100])
            return len(data[:100])

    slow = Slow()
    optimlab.save(training(), slow)
    assert slow.taken == to_bytes(training())


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path):
    optimlab.save(1, tmp_path / "file")
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o666 & ~_umask()
    os.chmod(tmp_path / "file", 0o640)
    os.symlink("file", tmp_path / "link")
    optimlab.save(2, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and optimlab.load(tmp_path / "file") == 2
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o640


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_device_is_written_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(optimlab.load(pipe)), daemon=True)
    reader.start()
    optimlab.save([1, 2], pipe)
    reader.join(timeout=30)
    assert found == [[1, 2]] and pipe.is_fifo()


def test_wrong_targets(tmp_path):
    for f in (5, None, 1.5):
        with pytest.raises(TypeError, match="f must be a path or a file opened with 'wb'"):
            optimlab.save(1, f)
        with pytest.raises(TypeError, match="f must be a path or a file opened with 'rb'"):
            optimlab.load(f)
    with pytest.raises(RuntimeError, match=r"^Parent directory .* does not exist\.; make it first"):
        optimlab.save(1, tmp_path / "no" / "x")
    for call in (lambda: optimlab.save(1, tmp_path), lambda: optimlab.load(tmp_path)):
        with pytest.raises(IsADirectoryError, match="it is a folder; name a file in it"):
            call()
    with pytest.raises(FileNotFoundError):
        optimlab.load(tmp_path / "missing")
    (tmp_path / "text").write_text("x")
    with open(tmp_path / "text") as file, pytest.raises(TypeError, match="for reading bytes"):
        optimlab.load(file)
    assert os.listdir(tmp_path) == ["text"]


def test_arguments_of_torch(tmp_path):
    optimlab.save([1], tmp_path / "x")
    for where in (None, "cpu", lambda storage, place: storage, {"cuda:0": "cpu"}):
        assert optimlab.load(tmp_path / "x", map_location=where, weights_only=False, mmap=False) == [1]
    with pytest.raises(RuntimeError, match="Invalid map_location: 'cuda'; there is the CPU only"):
        optimlab.load(tmp_path / "x", "cuda")


def test_the_error_names_the_file(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nonsense, of some length")
    with pytest.raises(CheckpointError, match=r"cannot load .*x\.pt: it is no safetensors file") as caught:
        optimlab.load(tmp_path / "x.pt")
    assert isinstance(caught.value, ValueError) and optimlab.CheckpointError is CheckpointError


def test_memory_is_at_most_twice_the_file(tmp_path):
    path = tmp_path / "x"
    value = [np.zeros((1000, 1000)), optimlab.zeros(500, 1000), np.zeros((1000, 1000), bool)]
    optimlab.save(value, path)
    size = path.stat().st_size
    peaks = []
    for call in (lambda: optimlab.save(value, path), lambda: optimlab.load(path)):
        tracemalloc.start()
        try:
            call()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # saving copies 1 MB at a time, and the array of bools once; loading holds the file and its arrays; 64 kB for names
    assert peaks[0] < 4e6 and peaks[1] < 2 * size + 64_000, peaks


# ---- one file for all


def test_golden_file():
    """The file of this format, written once and for ever: the same bytes, the same value."""
    data = GOLDEN.read_bytes()
    assert to_bytes(everything()) == data
    assert same(optimlab.load(GOLDEN), everything())


def test_same_bytes_in_20_processes():
    code = "import sys, hashlib, checkpoints as c; print(hashlib.sha256(c.to_bytes([c.everything(), c.training()])).hexdigest())"
    digests = set()
    for seed in range(20):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(GOLDEN.parents[1])}
        digests.add(
            subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        )
    assert len(digests) == 1


# ---- others


def test_safetensors_reads_every_file(tmp_path):
    for name, data in {**small_files(), "everything": GOLDEN.read_bytes(), "training": to_bytes(training())}.items():
        (tmp_path / name).write_bytes(data)
        found = safetensors.numpy.load_file(tmp_path / name)
        with safetensors.safe_open(tmp_path / name, "np") as file:
            assert sorted(file.keys()) == sorted(found) and file.metadata()["format"] == "optimlab"
    model = safetensors.numpy.load_file(tmp_path / "training")
    assert same(model["model/0.weight"], training()["model"]["0.weight"].numpy())
    flat_model = safetensors.numpy.load_file(tmp_path / "model")
    assert set(flat_model) == {"0.weight", "0.bias"}


def test_safetensors_reads_every_file_for_torch(tmp_path):
    torch = pytest.importorskip(
        "torch", reason="torch is not installed; safetensors' NumPy reader has read the same files"
    )
    import safetensors.torch

    (tmp_path / "x").write_bytes(GOLDEN.read_bytes())
    ours = safetensors.numpy.load_file(tmp_path / "x")
    for name, tensor in safetensors.torch.load_file(tmp_path / "x").items():
        assert same(tensor.numpy(), ours[name]), name
    net = torch.nn.Linear(2, 3)
    optimlab.save({"weight": optimlab.ones(3, 2), "bias": optimlab.zeros(3)}, tmp_path / "model")
    net.load_state_dict(safetensors.torch.load_file(tmp_path / "model"))  # a flat state dict keeps its names
    assert net.weight.sum().item() == 6


def test_plain_safetensors_files(tmp_path):
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in DTYPE_NAMES}
    safetensors.numpy.save_file(arrays, tmp_path / "x", metadata={"format": "np", "version": "3"})
    found = optimlab.load(tmp_path / "x")
    assert set(found) == set(arrays)
    for name, value in found.items():
        is_tensor = np.dtype(name) in optimlab.checkpoint.DTYPES
        assert isinstance(value, optimlab.Tensor if is_tensor else np.ndarray)
        array = value.numpy() if is_tensor else value
        assert same(array, arrays[name]) and array.flags.owndata and array.flags.writeable


def test_recipe_for_files_of_torch(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed; nothing to convert")
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": torch.ones(2).bfloat16(),
        "e": (3,),
    }
    monkeypatch.chdir(tmp_path)
    torch.save(state, "old.pt")
    torch.save(state, "older.pt", _use_new_zipfile_serialization=False)
    for name in ("old.pt", "older.pt"):
        with pytest.raises(CheckpointError, match=r"pickle.* can run code") as caught:
            optimlab.load(name)
        assert RECIPE in str(caught.value)
    exec(RECIPE, {})
    found = optimlab.load("new.safetensors")
    assert found["e"] == (3,) and found["half"].tolist() == [1.0, 1.0]
    assert same(found["model"]["0.weight"].numpy(), net[0].weight.detach().numpy())
    assert found["model"]["1.num_batches_tracked"].dtype is optimlab.int64
    ps = [optimlab.tensor(p.detach().numpy(), requires_grad=True) for p in net.parameters()]
    ours = optimlab.optim.Adam(ps)
    ours.load_state_dict(found["optimizer"])
    for p, q in zip(ps, net.parameters(), strict=True):
        p.grad, q.grad = optimlab.ones_like(p), torch.ones_like(q)
    ours.step()
    optimizer.step()
    for p, q in zip(ps, net.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)  # an ulp or two of float32
