"""Bad input: the wanted class, a message that says what is allowed, and nothing changed.

One table: what is called, with which arguments, what is raised, and words its message must have. A callable among the
arguments is called to make the argument.
"""

import numpy as np
import pytest

import optimlab as ol
from optimlab import nn, optim
from optimlab.lab import data
from optimlab.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR

NAN, INF = float("nan"), float("inf")
SGD, Adam = optim.SGD, optim.Adam


def leaf(*values):
    return ol.tensor(list(values or (1.0, 2.0)), requires_grad=True)


def opt(cls=SGD, **options):
    """An optimizer that has taken a step."""
    p = leaf()
    optimizer = cls([p], **options)
    p.grad = ol.ones(2)
    optimizer.step()
    return optimizer


def make(cls, **options):
    return lambda: cls([leaf()], **options)


def computed():
    return leaf() * 2


P = [  # params
    (leaf, TypeError, "iterable of Tensors or dicts", "[tensor]"),
    (list, ValueError, "empty parameter list", "one use"),
    (lambda: iter(()), ValueError, "empty parameter list", "one use"),
    (lambda: None, TypeError, "iterable of Tensors", "NoneType"),
    (lambda: 5, TypeError, "iterable of Tensors", "int"),
    (lambda: "abc", TypeError, "iterable of Tensors", "str"),
    (lambda: nn.Linear(1, 1), TypeError, "iterable of Tensors", "parameters()"),
    (lambda: nn.Linear(1, 1).parameters, TypeError, "iterable of Tensors", "parameters()"),
    (lambda: [np.ones(2)], TypeError, "can only optimize Tensors", "ndarray"),
    (lambda: [1.0], TypeError, "can only optimize Tensors", "float"),
    (lambda: {"a": leaf()}, TypeError, "iterable of Tensors or dicts", "[group]"),
    (lambda: {"params": [leaf()]}, TypeError, "iterable of Tensors or dicts", "[group]"),
    (lambda: [{"params": {leaf()}}], TypeError, "ordered collections", "list"),
    (lambda: [{"params": 3}], TypeError, "tensors in a list", "int"),
    (lambda: [leaf()] * 2, ValueError, "duplicate parameters", "once"),
    (lambda: [{"params": p} for p in [leaf()] * 2], ValueError, "more than one parameter group", "one group"),
    (lambda: [computed()], ValueError, "non-leaf Tensor", "detach"),
    (lambda: [ol.tensor([1, 2])], ValueError, "must be floats", "int64"),
    (lambda: [{"lr": 1}], ValueError, "'params'", "'lr'"),
    (lambda: [{"params": [leaf()], "lr": -1}], ValueError, "Invalid learning rate: -1", ">= 0"),
    (lambda: [leaf(), {"params": [leaf()]}], TypeError, "can only optimize Tensors", "dict"),
    (lambda: [{"params": [leaf()]}, leaf()], TypeError, "param_group must be a dict", "'params'"),
    (lambda: [("a", leaf()), leaf()], ValueError, "with/without names", "missing"),
    (lambda: [("a", leaf()), ("a", leaf())], ValueError, "names must differ", "twice"),
    (
        lambda: [{"params": [("a", leaf())]}, {"params": [leaf()]}],
        ValueError,
        "with/without names",
        "without names to the optimizer",
    ),
]
NUMBERS = [
    (-1, ValueError),
    (NAN, ValueError),
    (INF, ValueError),
    ("0.1", TypeError),
    (True, TypeError),
    (1j, TypeError),
]
NUMBERS += [([0.1], TypeError), (None, TypeError), (np.ones(2), ValueError), (ol.ones(2), ValueError)]
H = [  # hyper-parameters, for a class and for a group
    *[
        (SGD, {name: v}, e, name, ">= 0")
        for name in ("lr", "momentum", "weight_decay")
        for v, e in NUMBERS
        if v is not None
    ],
    *[(Adam, {name: v}, e, name, ">= 0") for name in ("lr", "eps", "weight_decay") for v, e in NUMBERS],
    *[(SGD, {"momentum": 0.5, "dampening": v}, ValueError, "dampening", ">= 0 and <= 1") for v in (-5, 1.5, NAN)],
    (SGD, {"nesterov": True}, ValueError, "Nesterov momentum requires", "momentum > 0"),
    (
        SGD,
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        ValueError,
        "Nesterov momentum requires",
        "dampening=0",
    ),
    (SGD, {"maximize": "no"}, TypeError, "maximize", "True or False"),
    (SGD, {"nesterov": 1}, TypeError, "nesterov", "True or False"),
    (SGD, {"foreach": 0}, TypeError, "foreach", "True, False or None"),
    (SGD, {"fused": True, "foreach": True}, RuntimeError, "cannot be `True` together", "None"),
    (SGD, {"fused": True, "differentiable": True}, RuntimeError, "does not support `differentiable`", "None"),
    (Adam, {"amsgrad": 1}, TypeError, "amsgrad", "True or False"),
    (Adam, {"betas": (1.0, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1.0", "< 1"),
    (Adam, {"betas": (0.9, -0.1)}, ValueError, "Invalid beta parameter at index 1: -0.1", ">= 0"),
    (Adam, {"betas": (0.9, NAN)}, ValueError, "Invalid beta parameter at index 1: nan", "< 1"),
    (Adam, {"betas": (0.9,)}, ValueError, "betas must be 2 numbers", "not 1"),
    (Adam, {"betas": (0.9, 0.9, 0.9)}, ValueError, "betas must be 2 numbers", "not 3"),
    (Adam, {"betas": 0.9}, TypeError, "betas must be 2 numbers", "float"),
    (Adam, {"betas": None}, TypeError, "betas must be 2 numbers", "NoneType"),
    (Adam, {"betas": ("a", "b")}, TypeError, "Invalid beta parameter at index 0", "str"),
    (Adam, {"betas": (0, 0.9)}, ValueError, "both floats or both Tensors", "0.0"),
    (Adam, {"lr": ol.tensor(0.1), "foreach": True}, ValueError, "lr as a Tensor is not supported", "foreach=None"),
]
CALLS = [  # anything else: a call on an optimizer, a schedule, a tensor, a layer
    (lambda: opt().add_param_group([leaf()]), TypeError, "param_group must be a dict", "'params'"),
    (lambda: opt().step(5), TypeError, "closure", "function"),
    (lambda: opt().register_step_pre_hook(5), TypeError, "hook", "function"),
    (lambda: SGD([leaf()], 0.1, "fast"), TypeError, "Invalid momentum value: fast", ">= 0"),
    (lambda: SGD([leaf()], learning_rate=0.1), TypeError, "learning_rate", "argument"),
    (lambda: SGD.rule.latex(speed=1), TypeError, "speed", "momentum"),
    (lambda: SGD.rule.latex(momentum=-1), ValueError, "momentum", ">= 0"),
    (lambda: SGD.rule.latex(t=0), ValueError, "t: 0", "from 1"),
    (lambda: StepLR(None, 3), TypeError, "is not an Optimizer", "SGD"),
    *[(lambda v=v: StepLR(opt(), v), ValueError, "step_size", ">= 1") for v in (0, -2)],
    *[(lambda v=v: StepLR(opt(), v), TypeError, "step_size", "integer") for v in (1.5, "3", None, True)],
    *[(lambda v=v: StepLR(opt(), 3, v), ValueError, "gamma", ">= 0") for v in (NAN, -1, INF)],
    (lambda: StepLR(opt(), 3, "x"), TypeError, "gamma", "number"),
    (lambda: StepLR(opt(), 3, last_epoch=-5), ValueError, "last_epoch", ">= -1"),
    (lambda: StepLR(opt(), 3, last_epoch=5), KeyError, "initial_lr", "load"),
    *[(lambda v=v: CosineAnnealingLR(opt(), v), ValueError, "T_max", "> 0") for v in (0, -3, NAN)],
    (lambda: CosineAnnealingLR(opt(), 5, INF), ValueError, "eta_min", "finite"),
    (lambda: StepLR(opt(), 3).step(-1), ValueError, "epoch", ">= 0"),
    (lambda: StepLR(opt(), 3).step("x"), TypeError, "epoch", "number"),
    (lambda: StepLR(opt(), 3).load_state_dict({}), ValueError, "not from a StepLR", "gamma"),
    (lambda: StepLR(opt(), 3).load_state_dict(None), TypeError, "state_dict must be a dict", "NoneType"),
    (
        lambda: StepLR(opt(), 3).load_state_dict(CosineAnnealingLR(opt(), 3).state_dict()),
        ValueError,
        "not from a StepLR",
        "T_max",
    ),
    (
        lambda: StepLR(opt(), 3).load_state_dict(StepLR(opt(), 3).state_dict() | {"step_size": "q"}),
        TypeError,
        "step_size",
        "integer",
    ),
    (
        lambda: StepLR(opt(), 3).load_state_dict(StepLR(opt(), 3).state_dict() | {"base_lrs": [1, 2]}),
        ValueError,
        "base_lrs",
        "one a group",
    ),
    (lambda: LRScheduler(opt()), NotImplementedError, "must define shape()", "get_lr"),
    (lambda: ol.tensor("abc"), TypeError, "numbers or bools", "abc"),
    (lambda: ol.tensor([1, "a"]), TypeError, "numbers or bools", "a"),
    (lambda: ol.tensor([[1], [1, 2]]), ValueError, "ragged", "same length"),
    (lambda: ol.tensor(1j), TypeError, "numbers or bools", "complex"),
    (lambda: ol.tensor([1.0], dtype="float99"), TypeError, "dtype", "float32"),
    (lambda: ol.tensor([1], requires_grad=True), ValueError, "floating point", ".float()"),
    (lambda: ol.tensor([1.0], requires_grad=1), TypeError, "requires_grad", "True or False"),
    (lambda: ol.zeros(-1), ValueError, "size: -1", ">= 0"),
    (lambda: ol.zeros(2.5), TypeError, "size: 2.5", "integer"),
    (lambda: ol.randn(2, dtype=ol.int64), ValueError, "float32 or float64", "int64"),
    (lambda: ol.randperm(-1), ValueError, "n: -1", ">= 0"),
    (lambda: ol.manual_seed(2**70), ValueError, "seed", "<="),
    (lambda: ol.manual_seed("x"), TypeError, "seed", "integer"),
    (lambda: ol.from_numpy([1]), TypeError, "expected np.ndarray", "tensor()"),
    (lambda: ol.set_default_dtype(ol.int64), TypeError, "default", "float64"),
    (lambda: leaf() + ol.ones(3), ValueError, "(2,)", "(3,)"),
    (lambda: leaf() + "a", TypeError, "unsupported operand", "str"),
    (lambda: leaf() == ol.ones(3), ValueError, "(2,)", "(3,)"),
    (lambda: ol.ones(2, 3) @ ol.ones(2, 3), ValueError, "cannot be multiplied", "(2, 3)"),
    (lambda: ol.ones(2) @ ol.ones(2, dtype=ol.float64), ValueError, "same dtype", "float64"),
    (lambda: ol.ones(2) @ 3, TypeError, "unsupported operand", "int"),
    (lambda: leaf().sum(dim=3), IndexError, "dim=3", "[-1, 0]"),
    (lambda: leaf().sum(dim="x"), TypeError, "dim", "int"),
    (lambda: ol.ones(2).long().mean(), ValueError, "mean()", ".float()"),
    (lambda: leaf().reshape(3), ValueError, "[3]", "size 2"),
    (lambda: leaf().expand(3), ValueError, "expanded", "(3,)"),
    (lambda: leaf()[5], IndexError, "5", "out of bounds"),
    (lambda: leaf().backward(), ValueError, "scalar outputs", ".sum()"),
    (lambda: ol.ones(1).backward(), RuntimeError, "does not require grad", "requires_grad=True"),
    (lambda: leaf().backward(ol.ones(3)), ValueError, "(3,)", "(2,)"),
    (lambda: leaf().backward(np.ones(2)), TypeError, "gradient", "ndarray"),
    (lambda: leaf().item(), ValueError, "2 elements", "tolist"),
    (lambda: bool(leaf()), ValueError, "ambiguous", ".all()"),
    (lambda: leaf().numpy(), ValueError, "requires grad", "detach"),
    (lambda: setattr(leaf(), "grad", np.ones(2)), TypeError, "grad must be a Tensor", "ndarray"),
    (lambda: setattr(leaf(), "grad", ol.ones(3)), ValueError, "different size", "(2,)"),
    (lambda: setattr(leaf(), "data", 3), TypeError, "data must be a Tensor", "int"),
    (lambda: setattr(computed(), "requires_grad", False), ValueError, "leaf variables", "detach"),
    (lambda: leaf().add_(1), RuntimeError, "in-place operation", "no_grad"),
    (lambda: ol.ones(2).add_(ol.ones(3, 2)), ValueError, "doesn't match the broadcast shape", "[3, 2]"),
    (lambda: ol.tensor([1]).add_(0.5), ValueError, "can't be cast", "x = x + y"),
    (lambda: len(ol.tensor(1.0)), TypeError, "0-d", ".item()"),
    (lambda: nn.Linear(-1, 1), ValueError, "in_features", ">= 0"),
    (lambda: nn.Linear("2", 1), TypeError, "in_features", "integer"),
    (lambda: nn.Linear(2, 1, bias=1), TypeError, "bias", "True or False"),
    (lambda: nn.Linear(2, 1)(ol.ones(4, 3)), ValueError, "(4, 3)", "in_features=2"),
    (lambda: nn.Linear(2, 1)([1, 2]), TypeError, "Tensor of floats", "list"),
    (lambda: nn.Linear(2, 1)(ol.ones(4, 2, dtype=ol.float64)), ValueError, "float64", "float32"),
    (lambda: nn.ReLU()(3), TypeError, "Tensor of floats", "int"),
    (lambda: nn.Sequential(3), TypeError, "Module subclass", "argument 0"),
    (lambda: nn.Parameter([1.0]), TypeError, "must be a Tensor", "list"),
    (lambda: nn.Module()(1), NotImplementedError, "forward", "Module"),
    (lambda: nn.ReLU().train("yes"), ValueError, "mode", "boolean"),
    (lambda: nn.MSELoss("max"), ValueError, "'max'", "'mean'"),
    (lambda: nn.MSELoss()(ol.ones(2), [1.0]), TypeError, "target", "list"),
    (lambda: nn.CrossEntropyLoss()(ol.ones(2, 3), ol.ones(2)), TypeError, "integers", ".long()"),
    (lambda: nn.CrossEntropyLoss()(ol.ones(2, 3), ol.tensor([0])), ValueError, "(2, 3)", "(batch,)"),
    (lambda: nn.CrossEntropyLoss()(ol.ones(1, 3), ol.tensor([3])), IndexError, "Target 3", "0 to 2"),
    (lambda: data.digits(dtype="complex64"), TypeError, "dtype", "float32"),
]


def refused(wanted, words, call):
    with pytest.raises(wanted) as error:
        call()
    assert type(error.value) is wanted or wanted in (ValueError, KeyError)  # TensorError is a ValueError
    for word in words:
        assert word in str(error.value), str(error.value)


@pytest.mark.parametrize(("params", "wanted", "text", "advice"), P)
def test_params(params, wanted, text, advice):
    refused(wanted, (text, advice), lambda: SGD(params(), lr=0.1))


@pytest.mark.parametrize(("cls", "options", "wanted", "text", "advice"), H, ids=str)
def test_hyper_parameters(cls, options, wanted, text, advice):
    """Given to the constructor, in a group, added with a group, set later, and loaded: refused each time, nothing changed."""
    refused(wanted, (text, advice), make(cls, **options))
    refused(wanted, (text, advice), lambda: cls([{"params": [leaf()], **options}]))
    optimizer = opt(cls)
    before, group = snapshot(optimizer), optimizer.param_groups[0]
    refused(wanted, (text, advice), lambda: optimizer.add_param_group({"params": [leaf()], **options}))
    saved = optimizer.state_dict()
    saved["param_groups"][0].update(options)
    refused(wanted, (text, advice), lambda: optimizer.load_state_dict(saved))
    assert snapshot(optimizer) == before
    good = dict(group)
    group.update(options)
    refused(wanted, (text, advice), optimizer.step)
    group.update(good)
    assert snapshot(optimizer) == before


@pytest.mark.parametrize(("call", "wanted", "text", "advice"), CALLS)
def test_call(call, wanted, text, advice):
    refused(wanted, (text, advice), call)


def snapshot(optimizer):
    """All that an optimizer's methods may change, as text of full precision."""

    def plain(x):
        return (x.tolist(), x.dtype.name) if isinstance(x, ol.Tensor) else x

    state = [{k: plain(v) for k, v in optimizer.state.get(p, {}).items()} for p in optimizer._parameters()]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return repr((state, groups, [plain(p) for p in optimizer._parameters()], optimizer._step_count))


def saved(**changes):
    state = opt(Adam).state_dict()
    state["state"] = {0: {k: v for k, v in (state["state"][0] | changes).items() if v is not None}}
    return state


STATES = [  # what Adam refuses to load
    (None, TypeError, "must be a dict"),
    ([], TypeError, "must be a dict"),
    ({}, ValueError, "'state'"),
    ({"state": {}}, ValueError, "'param_groups'"),
    ({"state": {}, "param_groups": {}}, ValueError, "'param_groups'"),
    ({"state": {}, "param_groups": []}, ValueError, "different number of parameter groups"),
    ({"state": {}, "param_groups": [3]}, ValueError, "param_groups[0]"),
    ({"state": {}, "param_groups": [{"params": [0, 1]}]}, ValueError, "doesn't match the size"),
    ({"state": {}, "param_groups": [{"params": [0]}]}, ValueError, "lacks lr"),
    (opt(SGD, momentum=0.9).state_dict(), ValueError, "lacks betas"),
    (opt(Adam).state_dict() | {"state": {99: {}}}, ValueError, "99"),
    (opt(Adam).state_dict() | {"state": {"0": {}}}, ValueError, "'0'"),
    (opt(Adam).state_dict() | {"state": {0: 3}}, TypeError, "must be a dict"),
    (saved(exp_avg_sq=None), ValueError, "exp_avg_sq"),
    (saved(step=None), ValueError, "step"),
    (saved(step=-1), ValueError, ">= 0"),
    (saved(step=NAN), ValueError, ">= 0"),
    (saved(exp_avg=ol.ones(3)), ValueError, "(3,)"),
    (saved(exp_avg=[1.0, 2.0]), TypeError, "list"),
]


@pytest.mark.parametrize(("state", "wanted", "text"), STATES)
def test_load_state_dict(state, wanted, text):
    optimizer = opt(Adam)
    before = snapshot(optimizer)
    refused(wanted, (text,), lambda: optimizer.load_state_dict(state))
    assert snapshot(optimizer) == before


ELEMENTWISE = {  # with options that give all of the state
    "SGD": {"momentum": 0.9},
    "ASGD": {},
    "Rprop": {},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_load_state_dict_of_every_optimizer(name):
    """Each key of the state: missing, of another shape, of a wrong kind, not a number it can be; then other optimizers'."""
    cls = getattr(optim, name)
    optimizer = opt(cls, **ELEMENTWISE[name])
    before = snapshot(optimizer)
    state, [group] = optimizer.state_dict()["state"][0], optimizer.state_dict()["param_groups"]

    def load(changed, **options):
        optimizer.load_state_dict({"state": {0: changed}, "param_groups": [group | options]})

    count = 0
    for key, value in state.items():
        number, signed = value.dim() == 0, key in ("momentum_buffer", "exp_avg", "grad_avg", "prev", "ax")
        wrong = [({k: v for k, v in state.items() if k != key}, ValueError, key)] if name != "SGD" else []
        wrong += [(state | {key: x}, TypeError, key) for x in ("x", None, [1.0, 2.0]) if name != "SGD" or x is not None]
        wrong += [(state | {key: ol.ones(3)}, ValueError, key)]
        wrong += [(state | {key: ol.full_like(value, x)}, ValueError, ">= 0") for x in (-1.0, NAN) if not signed]
        wrong += [(state | {key: x}, ValueError, ">= 0") for x in (INF,) if number]
        for changed, error, word in wrong:
            refused(error, (word,), lambda changed=changed: load(changed))
            count += 1
        load(state | {key: value.item() if number else value.numpy()})  # numbers and arrays are welcome
    assert count >= 3 * len(state)
    for option in ("lr", "eps", "momentum", "betas", "alpha", "rho", "etas"):
        for value, error in ((-1, (ValueError, TypeError)), ("x", TypeError), (NAN, (ValueError, TypeError))):
            if option in group:
                with pytest.raises(error, match=option):
                    load(state, **{option: value})
    for other in ELEMENTWISE:
        theirs = opt(getattr(optim, other), **ELEMENTWISE[other]).state_dict()
        # a dictionary does not say whose it is: what has all options and state of another passes for it
        if other != name and (name, other) not in {
            ("Adam", "AdamW"),
            *(("RAdam", x) for x in ("Adam", "AdamW", "NAdam")),
        }:
            with pytest.raises(ValueError, match=r"it is not from|lacks|has no|belongs in"):
                optimizer.load_state_dict(theirs)
    assert snapshot(optimizer) == before
    with pytest.warns(UserWarning, match="'note', which"):
        load(state | {"note": 3}, name="head", betas=[0.5, 0.75] if "betas" in group else None)
    kept = optimizer.param_groups[0]
    assert kept["name"] == "head" and kept["betas"] == ((0.5, 0.75) if "betas" in group else None)


def wrong_gradient(p):
    p._grad = ol.ones(3)


def wrong_state(p):
    optimizer = p.owner
    optimizer.state[p]["exp_avg"] = ol.ones(1)


def lost_state(p):
    del p.owner.state[p]["exp_avg"]


def other_data(p):
    p.data = ol.ones(5)


def read_only(p):
    p._array.flags.writeable = False


@pytest.mark.parametrize("spoil", [wrong_gradient, wrong_state, lost_state, other_data, read_only])
def test_step_checks_all_parameters_before_it_moves_one(spoil):
    first, second = leaf(), leaf()
    optimizer = Adam([first, second], lr=0.1)
    for p in (first, second):
        p.grad = ol.ones(2)
        p.owner = optimizer
    optimizer.step()
    spoil(second)
    before = snapshot(optimizer)
    with pytest.raises(ValueError):
        optimizer.step()
    assert snapshot(optimizer) == before


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), ol.tensor(0.5)])
def test_numbers_of_any_make_are_welcome(number):
    optimizer = opt(SGD, lr=number, momentum=number)
    assert float(optimizer.param_groups[0]["lr"]) == 0.5
    assert optimizer._parameters().__next__().tolist() == [0.5, 1.5]
    assert StepLR(optimizer, np.int64(3), number).step_size == 3


def test_a_schedule_that_fails_stays_where_it_was():
    class Broken(LRScheduler):
        def get_lr(self):
            if self.last_epoch == 2:
                raise ZeroDivisionError
            return [0.1 * self.last_epoch]

    optimizer = opt()
    schedule = Broken(optimizer)
    optimizer.step()
    schedule.step()
    before = schedule.state_dict(), snapshot(optimizer)
    with pytest.raises(ZeroDivisionError):
        schedule.step()
    assert (schedule.state_dict(), snapshot(optimizer)) == before


def test_what_torch_accepts_for_a_reason_is_accepted():
    frozen = ol.tensor([1.0])
    optimizer = SGD([{"params": [frozen, leaf()], "name": "head"}, {"params": []}], lr=0)
    optimizer.step()
    assert optimizer.param_groups[0]["name"] == "head"
    assert SGD(nn.Linear(2, 1).named_parameters()).param_groups[0]["param_names"] == ["weight", "bias"]
    assert SGD([leaf()], lr=-0.0).param_groups[0]["lr"] == 0
