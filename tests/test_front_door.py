"""optimlab under torch's name: import paths, the lent name, what programs ask of a machine without a GPU."""

import importlib
import os
import subprocess
import sys

import pytest

import optimlab as ol

PROGRAM = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torch.backends.cudnn as cudnn
from torch import Tensor, nn as other
from torch.autograd import Variable
from torch.optim import SGD, lr_scheduler
from torch.optim.adamw import AdamW
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import Optimizer, required
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
torch.cuda.manual_seed_all(0)
cudnn.deterministic = True
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
net = nn.Linear(2, 1).to(device)
optimizer = SGD(net.parameters(), lr=0.1)
scheduler = StepLR(optimizer, 1)
for x, y in DataLoader(TensorDataset(torch.randn(4, 2), torch.randn(4, 1)), batch_size=2):
    loss = F.mse_loss(net(x.to(device)), y.to(device))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
found = torch, loss.item()
"""


def torchs():
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch"}


def run():
    found = {}
    exec(PROGRAM, found)
    return found["found"]


def test_as_torch_runs_a_program_untouched():
    before = torchs()
    with ol.as_torch() as lent:
        module, loss = run()
        assert module is lent is ol
    assert torchs() == before
    if torch := sys.modules.get("torch"):
        assert run() == (torch, pytest.approx(loss, rel=1e-5))  # float32, one step


def test_the_name_is_given_back_after_an_error_and_from_within():
    before = torchs()
    lending = ol.as_torch()
    with pytest.raises(ModuleNotFoundError, match=r"torch\.nowhere"), lending:
        import torch.nowhere
    assert torchs() == before
    with lending, lending:  # the same block in itself, and another one
        with ol.as_torch():
            import torch

            assert torch is ol
        assert sys.modules["torch"] is ol
    assert torchs() == before


def test_as_torch_decorates():
    @ol.as_torch()
    def program():
        import torch

        return torch

    assert program() is ol and program() is ol


def test_no_torch_is_left_behind():
    code = """
import sys, optimlab
with optimlab.as_torch():
    import torch
    assert torch is optimlab
assert not any(name.partition(".")[0] == "torch" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


PATHS = {
    "optim.sgd": "SGD", "optim.asgd": "ASGD", "optim.rprop": "Rprop", "optim.adam": "Adam", "optim.adamw": "AdamW",
    "optim.adamax": "Adamax", "optim.nadam": "NAdam", "optim.radam": "RAdam", "optim.sparse_adam": "SparseAdam",
    "optim.adagrad": "Adagrad", "optim.adadelta": "Adadelta", "optim.rmsprop": "RMSprop", "optim.lbfgs": "LBFGS",
    "optim._adafactor": "Adafactor", "optim._muon": "Muon", "optim.optimizer": "required", "optim.lr_scheduler": "StepLR",
    "optim.swa_utils": "AveragedModel", "autograd": "Variable", "utils.data": "DataLoader", "utils.hooks": "RemovableHandle",
    "nn.functional": "mse_loss", "nn.init": "xavier_uniform_", "nn.utils": "clip_grad_norm_",
    "nn.utils.clip_grad": "clip_grad_norm_", "nn.utils.convert_parameters": "parameters_to_vector",
    "nn.modules": "Linear", "nn.modules.batchnorm": "_BatchNorm", "nn.modules.module": "Module", "nn.modules.loss": "MSELoss",
    "nn.modules.linear": "Linear", "nn.modules.conv": "Conv2d", "nn.modules.container": "Sequential",
    "nn.modules.activation": "ReLU", "nn.modules.normalization": "LayerNorm", "nn.modules.sparse": "Embedding",
    "testing": "assert_close",
    "cuda": "is_available", "backends.mps": "is_available", "random": "manual_seed",
    "amp": "autocast", "cuda.amp": "GradScaler", "func": "functional_call", "linalg": "norm",
    "accelerator": "current_accelerator", "serialization": "load",
}  # fmt: skip


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_import_paths(path, name):
    found = getattr(importlib.import_module(f"optimlab.{path}"), name)
    torch = pytest.importorskip("torch", reason="torch is not installed; the path is ours")
    theirs = getattr(importlib.import_module(f"torch.{path}"), name)
    assert (torch and type(theirs).__name__ == type(found).__name__) or callable(theirs) == callable(found)


def test_a_missing_name_says_what_to_do():
    modules = (
        "",
        ".nn",
        ".nn.functional",
        ".nn.init",
        ".optim",
        ".optim.lr_scheduler",
        ".utils.data",
        ".cuda",
        ".autograd",
    )
    for name in modules:
        module = importlib.import_module(f"optimlab{name}")
        assert not hasattr(module, "LSTM") and getattr(module, "LSTM", 1) == 1
        with pytest.raises(AttributeError, match=rf"no attribute 'LSTM': .*dir\(optimlab{name}\) lists it") as error:
            module.LSTM  # noqa: B018  # to ask for it is the test
        assert error.value.name == "LSTM" and error.value.obj is module
    with pytest.raises(ImportError, match="LSTM"):
        from optimlab.nn import LSTM  # noqa: F401  # so is this


def test_a_machine_without_gpu():
    assert ol.cuda.is_available() is False and ol.cuda.device_count() == 0
    assert not ol.backends.cudnn.is_available() and not ol.backends.mps.is_available()
    assert not ol.accelerator.is_available() and ol.accelerator.current_accelerator() is None
    ol.cuda.manual_seed(0), ol.cuda.empty_cache(), ol.cuda.synchronize()
    assert ol.cuda.memory_allocated() == ol.cuda.max_memory_allocated() == 0
    ol.set_float32_matmul_precision("high")
    with pytest.raises(RuntimeError, match=r"Invalid precision: 'low'.*'highest'"):
        ol.set_float32_matmul_precision("low")
    with pytest.raises(AssertionError, match="CUDA"):
        ol.zeros(1, device="cuda")
    assert ol.zeros(1, device="cpu").to(ol.device("cpu:0")).device == ol.device("cpu")
    assert ol.compile(run) is run and ol.compile(mode="x")(run) is run
    assert ol.get_num_threads() >= 1


def test_import_is_quick():
    """On the reference machine numpy takes 0.1 s, and optimlab no more than that on top; a busy machine slows down both."""
    code = """
import time
start = time.process_time()
import numpy
middle = time.process_time()
import optimlab
print((time.process_time() - middle) / (middle - start))
"""
    cached = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}  # as users have it

    def ratio():
        return float(subprocess.run([sys.executable, "-c", code], env=cached, capture_output=True, text=True).stdout)

    ratio()  # compiles
    assert min(ratio() for _ in range(3)) < 1.5
