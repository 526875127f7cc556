"""Values to save and their files, for all tests of checkpoints; run as a script it writes the golden file of the present format.

python tests/checkpoints.py
"""

import io
import struct
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np

import optimlab
from optimlab.dtype import Size
from optimlab.nn import Parameter

GOLDEN = Path(__file__).parent / "goldens" / f"checkpoint_{optimlab.checkpoint.FORMAT}.safetensors"
DTYPE_NAMES = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
]
TENSOR_NAMES = ["float32", "float64", "int64", "int32", "uint8", "bool"]


def everything():
    """A value with everything that can be saved in it."""
    numbers = np.arange(12.0).reshape(3, 4)
    return {
        "plain": [None, True, False, 0, 1, -1, 2**62, -(2**63), 2**64, -(2**70), 3**10000],
        "floats": (0.1, -0.0, 5e-324, 1.7976931348623157e308, float("nan"), float("inf"), -float("inf")),
        "nan with a payload": struct.unpack(">d", bytes.fromhex("fff80000000000ff"))[0],
        "text": ["", "a\0b", "学习率", "\ud800", '"\\/<script>', "~0/1"],
        "empty": [{}, [], (), OrderedDict(), Counter(), Size(), [[]]],
        "kinds": [OrderedDict(b=1, a=2), Counter({30: 2, 80: 1}), Size((6, 3, 5, 5)), {"d": {1: ({"e": [2]},)}}],
        1: "a number as a key",
        "1": "the same in words",
        -7: optimlab.tensor(1.0),
        "-7": optimlab.tensor(2.0),
        "": optimlab.tensor([3.0]),
        "__metadata__": optimlab.tensor([4]),
        "../../etc/passwd": {"a/b": optimlab.tensor(5), "a": {"b": optimlab.tensor(6)}, "a~2fb": optimlab.tensor(7)},
        "\ud800": optimlab.tensor(8),
        "tensors": [optimlab.tensor(numbers.astype(name)) for name in TENSOR_NAMES],
        "leaves": [
            optimlab.tensor([1.0, 2.0], requires_grad=True),
            Parameter(optimlab.tensor([[1.0]])),
            Parameter(optimlab.tensor([[1.0]]), requires_grad=False),
        ],
        "arrays": [numbers.astype(name) for name in DTYPE_NAMES],
        "scalars": [np.dtype(name).type(1) for name in DTYPE_NAMES],
        "0-d": [np.array(3.0), np.array(True), optimlab.tensor(3.0, dtype=optimlab.float64)],
        "no elements": [np.zeros((0,)), np.zeros((3, 0, 2), np.float16), optimlab.zeros(0, 5)],
        "views": [numbers.T, numbers[::-1, ::2], np.asfortranarray(numbers), np.broadcast_to(numbers[0], (2, 4))],
        "odd numbers": np.array([np.nan, -np.nan, -0.0, np.inf, 5e-324]),
    }


def training():
    """What a training program saves: the state of a model, an optimizer and a schedule, and the epoch."""
    optimlab.manual_seed(0)
    net = optimlab.nn.Sequential(optimlab.nn.Linear(4, 3), optimlab.nn.Tanh(), optimlab.nn.Linear(3, 1))
    optimizer = optimlab.optim.Adam(net.parameters(), lr=0.1)
    schedule = optimlab.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(3):
        optimizer.zero_grad()
        (net(optimlab.randn(5, 4)) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    model = {name: p.detach() for name, p in net.named_parameters()}
    return {"epoch": 3, "model": model, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}


def to_bytes(value):
    """The file that ``save`` writes."""
    file = io.BytesIO()
    optimlab.save(value, file)
    return file.getvalue()


def small_files():
    """Three files of half a kilobyte to three: a flat model, a training state, odd values."""
    model = {"0.weight": optimlab.tensor([[0.5, -1.5]] * 3), "0.bias": optimlab.tensor([True, False, True])}
    odd = [2**70, float("nan"), np.float16(0.1), np.zeros((0, 2)), Counter({3: 1}), "学", np.arange(5, dtype=np.uint8)]
    return {"model": to_bytes(model), "training": to_bytes(training()), "odd": to_bytes(odd)}


def same(a, b):
    """Whether two values are equal in type, order and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and not isinstance(a, np.generic):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, optimlab.Tensor):
        return a.requires_grad == b.requires_grad and same(a.detach().numpy(), b.detach().numpy())
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


if __name__ == "__main__":
    GOLDEN.write_bytes(to_bytes(everything()))
