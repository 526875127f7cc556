"""State dictionaries go both ways between torch and optimlab, and programs with optimizers of their own run with both."""

from importlib import import_module

import numpy as np
import pytest

import optimlab
import oracle
from cases import CONFIGURATIONS, EXTRAS, PROBLEMS, label
from oracle import as_given, default_dtype

torch = pytest.importorskip("torch", reason="torch is not installed")
# of each class the configuration with the most options, and AMSGrad
ROWS = [(name, max(rows, key=len)) for name, rows in CONFIGURATIONS.items()]
ROWS += [("Adam", {"amsgrad": True}), ("SGD", {}), ("Adam", EXTRAS["Adam"][6])]


def converted(value, to):
    """A state dict with tensors of the other library, by way of NumPy."""
    if hasattr(value, "detach"):
        return to.tensor(value.detach().numpy().copy())
    if isinstance(value, dict):
        return {key: converted(item, to) for key, item in value.items()}
    return type(value)(converted(item, to) for item in value) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("one_way", [True, False], ids=["from torch", "to torch"])
@pytest.mark.parametrize(("name", "options"), ROWS, ids=[label(*row) for row in ROWS])
def test_it_goes_on_as_it_would_have(name, options, one_way):
    """Five steps with one, then its state dict in the other: the same five steps follow."""
    there, here = (torch, optimlab) if one_way else (optimlab, torch)
    with default_dtype(torch, "float64"), default_dtype(optimlab, "float64"):

        def begin(lib, **given):
            ps, advance = oracle.PROBLEMS[PROBLEMS[name][0]](lib, "float64")
            optimizer = getattr(lib.optim, name)(ps, **given)
            for t in range(1, 6):
                advance(optimizer, t)
            return ps, advance, optimizer

        ps, first_on, first = begin(there, **as_given(there, options))
        qs, second_on, _ = begin(here)
        saved = first.state_dict()
        with here.no_grad():
            for p, q in zip(ps, qs, strict=True):
                q.copy_(here.tensor(p.detach().numpy()))
        second = getattr(here.optim, name)(qs)
        second.load_state_dict(converted(saved, here))
        assert list(second.state_dict()["param_groups"][0]) == list(saved["param_groups"][0])
        for key, state in saved["state"].items():
            loaded = second.state_dict()["state"][key]
            assert list(loaded) == list(state)
            assert [str(getattr(v, "dtype", 0)) for v in loaded.values()] == [
                str(getattr(v, "dtype", 0)) for v in state.values()
            ]
        for t in range(6, 11):
            first_on(first, t)
            second_on(second, t)
    for p, q in zip(ps, qs, strict=True):
        # the tolerance of the trajectories: ulps of torch's fused operations, over five steps
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-11)


def lion(torch, decorate):
    """An optimizer as people write them for torch (Chen et al., Symbolic Discovery of Optimization Algorithms, 2023)."""

    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.0):
            if lr < 0.0:
                raise ValueError(f"Invalid learning rate: {lr}")
            defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "differentiable": False}
            super().__init__(params, defaults)

        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("weight_decay", 0.0)

        def _init_group(self, group, params, grads, exp_avgs):
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.is_sparse:
                        raise RuntimeError("Lion does not support sparse gradients")
                    params.append(p)
                    grads.append(p.grad)
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = torch.tensor(0.0)
                        state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                    exp_avgs.append(state["exp_avg"])

        @decorate(torch)
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                params, grads, exp_avgs = [], [], []
                beta1, beta2 = group["betas"]
                self._init_group(group, params, grads, exp_avgs)
                for p, grad, exp_avg in zip(params, grads, exp_avgs, strict=True):
                    self.state[p]["step"] += 1
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    update = exp_avg.clone().mul_(beta1).add(grad, alpha=1 - beta1).sign_()
                    p.add_(update, alpha=-group["lr"])
                    exp_avg.lerp_(grad, 1 - beta2)
            return loss

    return Lion


def no_grad(torch):
    return torch.no_grad()


def use_grad(torch):
    return import_module(f"{torch.__name__}.optim.optimizer")._use_grad_for_differentiable


@pytest.mark.parametrize("decorate", [no_grad, use_grad])
def test_an_optimizer_in_torchs_style(decorate):
    ends = []
    for lib in (torch, optimlab):
        with default_dtype(lib, "float64"):
            w = lib.tensor([[1.0, -2.0], [0.5, 0.25]], requires_grad=True)
            b = lib.tensor([0.1, 0.2], requires_grad=True)
            cls = lion(lib, decorate)
            optimizer = cls([{"params": [w], "weight_decay": 0.1}, {"params": [b]}])
            x, y = lib.tensor([1.0, 2.0]), lib.tensor([0.0, 1.0])

            def closure(optimizer=optimizer, w=w, b=b, x=x, y=y):
                optimizer.zero_grad()
                loss = ((w @ x + b - y) ** 2).sum()
                loss.backward()
                return loss

            calls, losses = [], []
            optimizer.register_step_post_hook(lambda *a, calls=calls: calls.append(1))
            schedule = lib.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
            for i in range(15):
                losses.append(optimizer.step(closure).item())
                schedule.step()
                if i == 7:
                    twin = cls([{"params": [w]}, {"params": [b]}])
                    twin.load_state_dict(optimizer.state_dict())
                    assert twin.state[w]["step"].item() == 8 and repr(twin) == repr(optimizer)
            assert len(calls) == 15
            state = optimizer.state_dict()["state"]
            ends.append([losses, w.tolist(), b.tolist(), state[0]["exp_avg"].tolist(), state[1]["step"].item()])
    for theirs, ours in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if "gradients" in PROBLEMS[name]])
def test_numbers_that_are_none(name):
    """NaN and Inf in one element of a gradient: the parameter's element becomes what torch makes of it, the others move on."""
    wrong = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-300, 1.0])
    ends = []
    for lib in (torch, optimlab):
        p = lib.tensor(np.ones(7), requires_grad=True)
        optimizer = getattr(lib.optim, name)([p])
        for t in range(8):
            p.grad = lib.tensor(wrong if t in (0, 1) else np.full(7, 0.5 * (-1) ** t))
            optimizer.step()
        ends.append(p.detach().numpy().copy())
    theirs, ours = ends
    assert not np.isfinite(ours[np.isnan(theirs)]).any()
    # NAdam and ASGD keep some numbers in float32 there
    np.testing.assert_allclose(ours[np.isfinite(theirs)], theirs[np.isfinite(theirs)], rtol=1e-5)
