"""What the base class promises: groups, state, hooks, closures, saving, subclasses, the older interface."""

import copy
import importlib
import pickle
import re
import warnings
import weakref

import numpy as np
import pytest

import optimlab as ol
from cases import OPTIMIZERS, PROBLEMS, flat, label
from optimlab import optim
from optimlab.optim import lr_scheduler
from optimlab.optim.elementwise import Elementwise
from optimlab.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from optimlab.optim.program import BLOCK
from oracle import as_given


def leaf(*values):
    return ol.tensor(list(values or (1.0, 2.0)), requires_grad=True)


def step(optimizer, *gradients):
    for p, g in zip(optimizer._parameters(), gradients, strict=True):
        p.grad = ol.tensor(g)
    optimizer.step()


def test_repr_is_torchs():
    optimizer = optim.SGD([leaf()], lr=0.1, momentum=0.9)
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n"
        "    lr: 0.1\n    maximize: False\n    momentum: 0.9\n    nesterov: False\n    weight_decay: 0\n)"
    )


def test_first_velocity_is_not_dampened():
    """The numbers of the study notes: 1, 1.4, 1.76 at dampening .5."""
    p = leaf(0.0)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.5)
    velocities = []
    for _ in range(3):
        step(optimizer, [1.0])
        velocities.append(optimizer.state[p]["momentum_buffer"].item())
    assert velocities == pytest.approx([1, 1.4, 1.76], rel=1e-6)  # float32


def test_groups_have_options_of_their_own():
    a, b = leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 0.01, "name": "head"}], lr=0.1)
    step(optimizer, [1.0], [1.0])
    assert (a.item(), b.item()) == pytest.approx((0.9, 0.99))
    c = leaf(1.0)
    group = {"params": c}
    optimizer.add_param_group(group)
    assert optimizer.param_groups[2] is group and group["lr"] == 0.1 and group["params"] == [c]
    assert list(group) == ["params", "lr", *list(optimizer.defaults)[1:]]


def test_parameters_without_gradient_are_left_alone():
    a, b = leaf(), leaf()
    optimizer = optim.Adam([a, b])
    a.grad = ol.ones(2)
    optimizer.step()
    assert b not in optimizer.state and b.tolist() == [1, 2]


def test_zero_grad():
    p = leaf()
    optimizer = optim.SGD([p])
    p.grad = ol.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_runs_with_recording_on():
    p = leaf(3.0)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ol.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9 and p.item() == pytest.approx(2.4)

    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        optimizer.step(fails)
    assert p.item() == pytest.approx(2.4) and ol.is_grad_enabled()
    with pytest.raises(RuntimeError, match=r"inside step"):
        optimizer.step(optimizer.step)


def test_hooks_run_in_torchs_order_and_come_off():
    calls = []
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.1)
    handles = [
        register_optimizer_step_pre_hook(lambda *a: calls.append("global pre")),
        register_optimizer_step_post_hook(lambda *a: calls.append("global post")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("pre") if args[0] is o else None),
        optimizer.register_step_post_hook(lambda *a: calls.append("post")),
    ]
    step(optimizer, [1.0])
    assert calls == ["global pre", "pre", "post", "global post"]
    for handle in handles:
        handle.remove()
    step(optimizer, [1.0])
    assert len(calls) == 4
    with (
        optimizer.register_step_pre_hook(lambda *a: 5),
        pytest.raises(RuntimeError, match="must return None or a tuple"),
    ):
        optimizer.step()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
    assert optimizer.step() == 7


def test_state_dict_hooks():
    optimizer = optim.SGD([leaf()])
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, d: d | {"note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, d: {k: v for k, v in d.items() if k != "note"})
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["first", "second", "loaded"] and optimizer.state_dict()["note"] == 1


ONE_GROUP = [
    (name, options) for name, options in flat(OPTIMIZERS) if "groups" not in options and "gradients" in PROBLEMS[name]
]  # the others want matrices, sparse gradients or closures: their own tests copy them


@pytest.mark.parametrize(("name", "options"), ONE_GROUP, ids=[label(*case) for case in ONE_GROUP])
@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_a_copy_goes_on_bit_for_bit(name, options, way):
    draw = np.random.RandomState(0)
    gradients = draw.standard_normal((12, 3)).astype(np.float32)
    p = leaf(1.0, 2.0, 3.0)
    optimizer = getattr(optim, name)([p], **as_given(ol, options))
    for g in gradients[:5]:
        step(optimizer, g)
    if way == "state_dict":
        twin = getattr(optim, name)([p.detach().clone().requires_grad_()])
        twin.load_state_dict(optimizer.state_dict())
        assert not any(
            np.shares_memory(a.numpy(), b.numpy())
            for a, b in zip(optimizer.state[p].values(), twin.state[next(twin._parameters())].values(), strict=True)
        )
    else:
        twin = copy.deepcopy(optimizer) if way == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
    for g in gradients[5:]:
        step(optimizer, g)
        step(twin, g)
    for a, b in [
        (p, next(twin._parameters())),
        *zip(*(o.state_dict()["state"].get(0, {}).values() for o in (optimizer, twin)), strict=False),
    ]:
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_model_and_optimizer_stay_tied_in_a_deep_copy():
    model = ol.nn.Linear(2, 1)
    twin_model, twin = copy.deepcopy((model, optim.SGD(model.parameters())))
    assert twin.param_groups[0]["params"][0] is twin_model.weight


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_blocks_make_no_difference(size):
    """A long parameter is worked off in blocks; each element gets what it gets alone."""
    draw = np.random.RandomState(0)
    start, gradients = draw.standard_normal(size), draw.standard_normal((3, size))
    whole = ol.tensor(start, requires_grad=True)
    parts = [ol.tensor(piece, requires_grad=True) for piece in np.array_split(start, 3)]
    for optimizer, cut in [(optim.Adam([whole], weight_decay=0.1), 1), (optim.Adam(parts, weight_decay=0.1), 3)]:
        for g in gradients:
            step(optimizer, *np.array_split(g, cut))
    np.testing.assert_array_equal(whole.detach().numpy(), np.concatenate([p.detach().numpy() for p in parts]))


def test_memory_order_makes_no_difference():
    start = np.random.RandomState(0).standard_normal((300, 200))
    plain = ol.tensor(start, requires_grad=True)
    turned = ol.from_numpy(np.asfortranarray(start)).requires_grad_()
    for optimizer in (optim.Adam([plain]), optim.Adam([turned])):
        step(optimizer, start)
        step(optimizer, -start)
    np.testing.assert_array_equal(plain.detach().numpy(), turned.detach().numpy())


def test_an_optimizer_in_torchs_style():
    class SignDescent(optim.Optimizer):
        def __init__(self, params, lr=optim.optimizer.required):
            super().__init__(params, {"lr": lr})

        @ol.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                    p.add_(p.grad / p.grad.abs(), alpha=-group["lr"])

    class Counted(SignDescent):
        @optim.Optimizer.profile_hook_step
        def step(self, closure=None):
            return super().step(closure)

    with pytest.raises(ValueError, match="required optimization parameter lr"):
        SignDescent([leaf()])
    p = leaf(1.0, 2.0)
    optimizer = Counted([p], lr=0.5)
    calls = []
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    step(optimizer, [3.0, -4.0])
    assert p.tolist() == [0.5, 2.5] and calls == [1] and optimizer.state_dict()["state"] == {0: {"steps": 1}}


class Late(Elementwise):
    """Step along the mean of all gradients so far. 沿所有梯度的平均值走。

    {update}
    """

    letters, numbers = {"m": "mean"}, {"n": "seen"}

    def __init__(self, params, lr=0.5):
        super().__init__(params, {"lr": lr})

    @staticmethod
    def rule(p, g, m, n, *, lr):
        n = n + 1
        m = m + (g - m) / n
        return {"p": p - lr * m, "m": m, "n": n}


def test_a_rule_of_ones_own():
    """The least that a class gives, without the options that torch's all have."""
    p = leaf(1.0, 2.0)
    optimizer = Late([p])
    step(optimizer, [2.0, -4.0])
    step(optimizer, [0.0, -2.0])
    assert p.tolist() == [-0.5, 5.5] and optimizer.state[p]["seen"].item() == 2 and "step" not in optimizer.state[p]
    assert optimizer.state[p]["mean"].tolist() == [1, -3] and r"\eta\,m_{t}" in Late.__doc__
    twin = Late([leaf(-0.5, 5.5)])
    twin.load_state_dict(optimizer.state_dict())
    for o in (optimizer, twin):
        step(o, [4.0, 0.0])
    assert next(twin._parameters()).tolist() == p.tolist() == [-1.5, 6.5]
    with pytest.raises(TypeError, match="name each letter and each option"):

        class Vague(optim.Adam):
            @staticmethod
            def rule(p, g, m, v, v_max=None, **options):
                return optim.Adam.rule.function(p, g, m, v, v_max, **options)


def test_named_parameters():
    model = ol.nn.Linear(2, 1)
    optimizer = optim.Adam(model.named_parameters())
    assert list(optimizer.param_groups[0])[:2] == ["params", "param_names"]
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"] and "param_names: ['weight', 'bias']" in repr(
        optimizer
    )
    optimizer.add_param_group({"params": [("more", leaf())], "lr": 0.5})
    saved = optimizer.state_dict()
    assert [g["param_names"] for g in saved["param_groups"]] == [["weight", "bias"], ["more"]]
    saved["param_groups"][1]["param_names"] = ["other"]  # names in a file win
    del saved["param_groups"][0]["param_names"]  # and where it has none, those that are there stay
    optimizer.load_state_dict(saved)
    assert [g["param_names"] for g in optimizer.param_groups] == [["weight", "bias"], ["other"]]


def test_a_step_happens_in_the_swapped_in_parameters_and_state():
    p, other = leaf(), leaf(5.0, 6.0)
    optimizer = optim.Adam([p], lr=0.1)
    step(optimizer, [1.0, 1.0])
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["lr"] = 0.5
    group, params, state = optimizer.param_groups[0], optimizer.param_groups[0]["params"], optimizer.state
    before = copy.deepcopy((optimizer.state_dict(), p.tolist()))
    other.grad = ol.ones(2)
    with optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, saved):
        assert group["params"][0] is other and group["lr"] == 0.5
        optimizer.step()
        group["extra"] = 1
    assert other.tolist() == pytest.approx([4.5, 5.5]) and saved["state"][0]["step"].item() == 2
    assert optimizer.param_groups[0] is group and group["params"] is params and optimizer.state is state
    assert repr((optimizer.state_dict(), p.tolist())) == repr(before)
    with pytest.raises(ZeroDivisionError), optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, saved):
        raise ZeroDivisionError
    assert group["params"] is params and optimizer.state is state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(state=[]), "got list"),
        (lambda d: d.update(param_groups={}), "got dict"),
        (lambda d: d["state"].update({5: {}}), "extra keys [5]"),
        (lambda d: d["state"].update({0: 3}), "to be dictionaries"),
        (lambda d: d["state"].update({leaf(): {}}), "keyed by packed parameter ids"),
        (lambda d: d["param_groups"].append({}), "different number of parameter groups"),
        (lambda d: d["param_groups"].__setitem__(0, 3), "to be a dictionary"),
        (lambda d: d["param_groups"][0].update(params=[0, 1]), "different number of params"),
        (lambda d: d["param_groups"][0].update(params=["a"]), "keyed by packed parameter ids"),
        (lambda d: d["param_groups"][0].pop("lr"), "Keys only in live: ['lr']"),
        (lambda d: None, "too few tensors"),
    ],
)
def test_what_does_not_fit_is_not_swapped_in(change, words):
    optimizer = optim.Adam([leaf()])
    swap = optim.swap_in_optimizer_params_and_state
    with pytest.raises(RuntimeError, match="initialized optimizer state"), swap(optimizer, {}, optimizer.state_dict()):
        pass
    step(optimizer, [1.0, 1.0])
    saved = copy.deepcopy(optimizer.state_dict())
    change(saved)
    before = repr(optimizer.state_dict())
    with (
        pytest.raises(RuntimeError, match=re.escape(words)),
        swap(optimizer, {} if "few" in words else {"p": leaf()}, saved),
    ):
        pass
    assert repr(optimizer.state_dict()) == before


def test_torchs_module_for_each_class():
    for name in ("asgd", "rprop", "adagrad", "adadelta", "rmsprop", "adamw", "adamax", "nadam", "radam", "sgd", "adam"):
        module = importlib.import_module(f"optimlab.optim.{name}")
        classes = [cls for key, cls in vars(optim).items() if key.lower() == name and isinstance(cls, type)]
        assert (
            len(classes) == 1 and getattr(module, classes[0].__name__) is classes[0] and getattr(optim, name) is module
        )


def test_adagrad_has_its_state_from_the_start():
    first, second = leaf(), leaf()
    optimizer = optim.Adagrad([first], initial_accumulator_value=0.25)
    optimizer.add_param_group({"params": [second]})
    assert optimizer.state[first]["sum"].tolist() == [0.25, 0.25] and optimizer.state[first]["step"].item() == 0
    assert second not in optimizer.state and optimizer.share_memory() is None
    saved = optimizer.state_dict()
    assert list(saved["state"]) == [0]
    twin = optim.Adagrad([leaf()])
    twin.add_param_group({"params": [leaf()]})
    twin.load_state_dict(saved)
    assert next(iter(twin.state.values()))["sum"].tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {}), ("Rprop", {}), ("ASGD", {"t0": 0}), ("NAdam", {})]
)
def test_a_gradient_may_share_memory_with_its_parameter_and_its_state(name, options):
    ends = []
    for share in (lambda x: x, lambda x: x.clone()):
        p = leaf(1.0, -2.0)
        optimizer = getattr(optim, name)([p], lr=0.1, **options)
        for _ in range(3):
            p.grad = share(p.detach())
            optimizer.step()
        for value in list(optimizer.state[p].values()):
            if value.shape == p.shape:
                p.grad = share(value)
                optimizer.step()
        ends.append([p.tolist(), *(v.tolist() for v in optimizer.state[p].values())])
    assert ends[0] == ends[1]


def test_state_may_be_a_view_of_a_gradient():
    """The gradient owns the memory; so the state, not the gradient, has a base."""
    ends = []
    for share in (lambda x: x, lambda x: x.copy()):
        p, memory = leaf(1.0, -2.0), np.array([3.0, 4.0], np.float32)
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
        optimizer.state[p]["momentum_buffer"] = ol.from_numpy(memory[:])
        for _ in range(3):
            p.grad = ol.from_numpy(share(memory))
            optimizer.step()
        ends.append(p.tolist())
    assert ends[0] == ends[1]


def test_an_optimizer_that_has_stepped_is_given_up_at_once():
    """Plans know the optimizer's parameters and state, not the optimizer: no circle waits for the garbage collector."""
    p = leaf()
    optimizer = optim.Adam([p])
    p.grad = p.detach()
    optimizer.step()
    gone = weakref.ref(optimizer)
    del optimizer
    assert gone() is None


def test_frozen_parameters_and_thawed_ones():
    frozen, p = ol.tensor([1.0, 2.0]), leaf()
    optimizer = optim.Adam([frozen, p], lr=0.5, maximize=True)
    (p * 2).sum().backward()
    optimizer.step()
    assert frozen.tolist() == [1, 2] and frozen not in optimizer.state and p.tolist() == pytest.approx([1.5, 2.5])
    frozen.requires_grad_()
    optimizer.zero_grad()
    (frozen * 2).sum().backward()
    optimizer.step()
    assert frozen.tolist() == pytest.approx([1.5, 2.5]) and optimizer.state[p]["step"].item() == 1


# ---- schedules


def test_a_tensor_learning_rate_is_changed_in_place():
    lr = ol.tensor(0.4)
    optimizer = optim.SGD([leaf()], lr=lr)
    schedule = lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    schedule.step()
    assert lr.item() == pytest.approx(0.2) and optimizer.param_groups[0]["lr"] is lr
    assert schedule.get_last_lr()[0] is not lr and schedule.base_lrs[0].item() == pytest.approx(0.4)


def test_groups_that_share_a_learning_rate_share_it_after_loading():
    optimizer = optim.SGD([{"params": leaf()}, {"params": leaf()}, {"params": leaf(), "lr": 1.0}], lr=ol.tensor(0.4))
    given = optimizer.param_groups[0]["lr"]
    optimizer.load_state_dict(optimizer.state_dict())
    first, second, third = (group["lr"] for group in optimizer.param_groups)
    assert first is second and first is not given and first.item() == given.item() and third == 1


def test_older_interface(capsys):
    optimizer = optim.SGD([leaf()], lr=0.05)
    schedule = lr_scheduler.StepLR(optimizer, 1, verbose=True)
    optimizer.step()
    schedule.step()
    schedule.print_lr(True, 1, 0.5)
    schedule.print_lr(True, 0, 0.5, 7)
    schedule.print_lr(True, 0, 0.5, 1.5)
    schedule.print_lr(False, 0, 0.5)
    assert capsys.readouterr().out == (
        "Adjusting learning rate of group 0 to 5.0000e-02.\nAdjusting learning rate of group 0 to 5.0000e-03.\n"
        "Adjusting learning rate of group 1 to 5.0000e-01.\nEpoch 00007: adjusting learning rate of group 0 to 5.0000e-01.\n"
        "Epoch 1.50: adjusting learning rate of group 0 to 5.0000e-01.\n"
    )
    assert isinstance(schedule, lr_scheduler._LRScheduler) and optimizer._step_count == 1


def test_warnings_are_torchs():
    optimizer = optim.SGD([leaf()], lr=0.1)
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        schedule.step()
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        schedule.get_lr()
    with pytest.warns(UserWarning, match="is being deprecated"):
        schedule.step(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()


def test_a_schedule_in_torchs_style():
    class Halves(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [group["lr"] * (0.5 if self.last_epoch else 1) for group in self.optimizer.param_groups]

    optimizer = optim.SGD([{"params": leaf(), "lr": 0.4}, {"params": leaf(), "lr": 4.0}])
    schedule = Halves(optimizer)
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.2, 2.0]


def test_a_group_added_later_joins_in():
    optimizer = optim.SGD([leaf()], lr=0.4)
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.5)
    optimizer.step()
    schedule.step()
    optimizer.add_param_group({"params": leaf(), "lr": 1.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.2, 0.5] and optimizer.param_groups[1]["initial_lr"] == 1.0


def test_infinite_state_that_fits_no_more_is_not_looked_at():
    p, q = leaf(), leaf()
    optimizer = optim.Adam([p, q])
    step(optimizer, [np.inf, 1.0], [1.0, 1.0])
    p.data, p.grad = ol.ones(3), None
    optimizer.step()
    assert optimizer.state[q]["step"] == 2


def test_a_parameter_that_is_taken_from_its_group_moves_no_more():
    p, q = leaf(), leaf(1.0, 2.0, 3.0)
    optimizer = optim.SGD([p, q], lr=0.5)
    step(optimizer, [1.0, 1.0], [1.0, 1.0, 1.0])
    optimizer.param_groups[0]["params"].pop()
    optimizer.step()
    assert q.tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("dtype", [ol.float16, ol.float32])
def test_a_gradient_that_does_not_fit_is_refused_after_one_that_did(dtype):
    p = ol.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    p.grad = ol.ones(2, dtype=dtype)
    optimizer.step()
    p._grad = ol.ones(1, dtype=dtype)  # would broadcast
    with pytest.raises(ValueError, match=r"a gradient is \(1,\)"):
        optimizer.step()
    assert p.tolist() == [0.5, 1.5]


def test_state_of_a_parameter_that_is_in_no_group_is_named():
    p, q = leaf(), leaf(1.0, 2.0, 3.0)
    optimizer = optim.Adam([p, q])
    step(optimizer, [1.0, 1.0], [1.0, 1.0, 1.0])
    optimizer.param_groups[0]["params"].pop()
    with pytest.raises(KeyError, match=r"state of a tensor of shape \(3,\) that is in none of its groups; .* del "):
        optimizer.state_dict()
    del optimizer.state[q]
    assert list(optimizer.state_dict()["state"]) == [0]


def test_state_dict_has_torchs_keys():
    schedule = lr_scheduler.StepLR(optim.SGD([leaf()], lr=0.4), 3)
    assert schedule.state_dict() == {
        "step_size": 3,
        "gamma": 0.1,
        "base_lrs": [0.4],
        "last_epoch": 0,
        "_step_count": 1,
        "_is_initial": False,
        "_get_lr_called_within_step": False,
        "_last_lr": [0.4],
    }


def test_going_on_with_last_epoch():
    """A schedule built with last_epoch = k takes the place that the interrupted one would have reached."""
    for build in (
        lambda o, k: lr_scheduler.StepLR(o, 3, 0.5, k),
        lambda o, k: lr_scheduler.CosineAnnealingLR(o, 9, 0.1, k),
    ):
        optimizer = optim.SGD([leaf()], lr=1.0)
        schedule = build(optimizer, -1)
        for _ in range(5):
            optimizer.step()
            schedule.step()
        wanted = optimizer.param_groups[0]["lr"]
        later = optim.SGD([leaf()], lr=1.0)
        later.load_state_dict(optimizer.state_dict())
        if isinstance(schedule, lr_scheduler.StepLR):
            later.param_groups[0]["lr"] = 0.5  # what epoch 4 had: the chainable form goes on from there
        build(later, 4)
        assert later.param_groups[0]["lr"] == pytest.approx(wanted, rel=1e-15)


def test_a_wrapper_need_not_call_init():
    class Wrapper(optim.Optimizer):
        def __init__(self, inner):
            self.inner, self.param_groups, self.state, self.defaults = (
                inner,
                inner.param_groups,
                inner.state,
                inner.defaults,
            )

        def step(self, closure=None):
            return self.inner.step(closure)

    p = leaf(1.0)
    optimizer = Wrapper(optim.SGD([p], lr=1.0))
    schedule = lr_scheduler.StepLR(optimizer, 1)
    step(optimizer.inner, [1.0])
    optimizer.step()
    schedule.step()
    assert p.item() == -1 and optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_extra_state_and_new_options_survive_loading():
    class WithExtra(optim.Adam):
        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("extra", 7)

    p = leaf()
    optimizer = WithExtra([p])
    step(optimizer, [1.0, 1.0])
    optimizer.state[p]["note"] = 3
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[p]["note"] == 3 and optimizer.param_groups[0]["extra"] == 7
    assert optim.SGD([p]).state_dict()["state"] == {}


def test_schedules_that_do_it_all_themselves():
    class OwnStep(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [group["initial_lr"] * 0.5**self.last_epoch for group in self.optimizer.param_groups]

        def step(self, epoch=None):
            self.last_epoch += 1
            for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
                group["lr"] = lr

    optimizer = optim.SGD([leaf()], lr=1.0)
    schedule = OwnStep(optimizer)
    schedule.best = 3
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.5 and schedule.base_lrs == [1.0]
    fresh = OwnStep(optim.SGD([leaf()], lr=1.0))
    fresh.load_state_dict(schedule.state_dict())
    assert fresh.best == 3
    with pytest.raises(ValueError, match="besides"):
        fresh.load_state_dict(schedule.state_dict() | {"get_lr": 5})


def test_a_schedule_refuses_what_is_no_number_before_it_sets_any():
    class Words(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [0.5, "x" if self.last_epoch else 0.5]

    optimizer = optim.SGD([{"params": leaf()}, {"params": leaf()}], lr=1.0)
    schedule = Words(optimizer)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    with pytest.raises(TypeError, match="learning rate of group 1"):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.25 and schedule.last_epoch == 0


def test_a_second_schedule_does_not_warn():
    optimizer = optim.SGD([leaf()], lr=1.0)
    first = lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    second = lr_scheduler.CosineAnnealingLR(optimizer, 5)
    first.step()
    second.step()
