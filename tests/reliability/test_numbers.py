"""Wherever a number is meant, NumPy's numbers, 0-d arrays and tensors of one element are numbers, and mean the same."""

import inspect

import numpy as np
import pytest

import optimlab as ol
from optimlab import nn, optim
from optimlab.optim import lr_scheduler as S
from optimlab.optim import swa_utils as W
from optimlab.utils.data import DataLoader, TensorDataset

FLOATS = [np.float32, np.float64, np.array, ol.tensor]
INTEGERS = [np.int64, np.int32, np.uint8, np.array, ol.tensor]
NARROW = {"t0", "tolerance_grad", "tolerance_change"}  # 0.5 would end, or not begin, what is compared


def called(x):
    return getattr(x, "__name__", str(x))


def optimizer(cls=optim.SGD, **options):
    p = ol.tensor(np.array([[1.0, -2.0], [0.5, 3.0]]), requires_grad=True)
    return cls([p], **options), p


def trained(cls, options):
    """Where three steps lead."""
    made, p = optimizer(cls, **options)

    def closure():
        made.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        if cls is optim.SparseAdam:
            p.grad = p.grad.to_sparse(1)
        return loss

    for _ in range(3):
        made.step(closure)
    return p.detach().numpy()


PAIRS = {"betas": (0.875, 0.9375), "etas": (0.5, 1.25), "step_sizes": (1e-6, 50), "ns_coefficients": (3.5, -4.75, 2.0)}
PLAIN = {"beta2_decay": -0.5, "d": 2.0}  # 0.5 is out of their range


def every_option():
    """(class, option, form, plain value, the value in that form) for every option that is a number or some numbers."""
    for name in optim.__all__:
        cls = getattr(optim, name)
        if not (isinstance(cls, type) and issubclass(cls, optim.Optimizer)) or cls is optim.Optimizer:
            continue
        for option, parameter in inspect.signature(cls).parameters.items():
            default = parameter.default
            if option in PAIRS:
                plain = PAIRS[option]
                yield from (
                    (cls, option, form, plain, tuple(map(form, plain))) for form in FLOATS if form is not ol.tensor
                )
                yield cls, option, np.array, plain, np.array(plain)
            elif type(default) is int:
                plain = 7 if default else 1
                yield from ((cls, option, form, plain, form(plain)) for form in INTEGERS)
            elif type(default) is float and option not in NARROW:
                plain = PLAIN.get(option, 0.5)
                yield from ((cls, option, form, plain, form(plain)) for form in FLOATS)


@pytest.mark.parametrize(("cls", "option", "form", "plain", "given"), list(every_option()), ids=called)
def test_an_option_of_an_optimizer(cls, option, form, plain, given):
    others = {"momentum": 0.5} if option == "dampening" else {}
    wanted, found = (trained(cls, others | {option: x}) for x in (plain, given))
    np.testing.assert_array_equal(found, wanted)


def clipped(max_norm, norm_type=2.0):
    p = ol.tensor([3.0, 4.0], requires_grad=True)
    p.grad = ol.tensor([3.0, 4.0])
    nn.utils.clip_grad_norm_([p], max_norm, norm_type)
    return p.grad.tolist()


def rates(make, *metrics):
    made, p = optimizer(lr=0.5, momentum=0.5)
    schedule = make(made)
    found = []
    for _ in range(6):
        p.grad = ol.ones(2, 2, dtype=ol.float64)
        made.step()
        schedule.step(*metrics)
        found.append((float(made.param_groups[0]["lr"]), float(made.param_groups[0]["momentum"])))
    return found


WITH_FLOAT = {  # x = 0.5
    "StepLR": lambda x: rates(lambda o: S.StepLR(o, 2, x)),
    "MultiStepLR": lambda x: rates(lambda o: S.MultiStepLR(o, [2], x)),
    "ConstantLR": lambda x: rates(lambda o: S.ConstantLR(o, x, 3)),
    "LinearLR": lambda x: rates(lambda o: S.LinearLR(o, x, x, 3)),
    "ExponentialLR": lambda x: rates(lambda o: S.ExponentialLR(o, x)),
    "PolynomialLR": lambda x: rates(lambda o: S.PolynomialLR(o, 3, x)),
    "CosineAnnealingLR": lambda x: rates(lambda o: S.CosineAnnealingLR(o, 3, x)),
    "CosineAnnealingWarmRestarts": lambda x: rates(lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2, x)),
    "LambdaLR": lambda x: rates(lambda o: S.LambdaLR(o, lambda t: x)),
    "MultiplicativeLR": lambda x: rates(lambda o: S.MultiplicativeLR(o, lambda t: x)),
    "CyclicLR": lambda x: rates(lambda o: S.CyclicLR(o, x / 4, x, 3, gamma=x, base_momentum=x, max_momentum=x)),
    "OneCycleLR": lambda x: rates(
        lambda o: S.OneCycleLR(
            o, x, 9, pct_start=x, base_momentum=x, max_momentum=x, div_factor=x + 1, final_div_factor=x
        )
    ),
    "ReduceLROnPlateau": lambda x: rates(
        lambda o: S.ReduceLROnPlateau(o, factor=x, patience=0, threshold=x, min_lr=x / 4, eps=x / 64), x
    ),
    "SWALR": lambda x: rates(lambda o: W.SWALR(o, x / 2)),
    "EMA": lambda x: W.get_ema_avg_fn(x)(ol.tensor(1.0), ol.tensor(3.0), 1).item(),
    "clip_grad_norm_": clipped,
    "norm_type": lambda x: clipped(0.5, x * 4),
    "Dropout": lambda x: nn.Dropout(x).p,
    "full": lambda x: ol.full((2,), x).tolist(),
    "a closure's loss": lambda x: float(optimizer(optim.Adam)[0].step(lambda: x)),
}
WITH_INTEGER = {  # k = 3
    "StepLR": lambda k: rates(lambda o: S.StepLR(o, k)),
    "MultiStepLR": lambda k: rates(lambda o: S.MultiStepLR(o, [k, k + 1, k])),
    "ConstantLR": lambda k: rates(lambda o: S.ConstantLR(o, 0.5, k)),
    "LinearLR": lambda k: rates(lambda o: S.LinearLR(o, 0.5, 1.0, k)),
    "PolynomialLR": lambda k: rates(lambda o: S.PolynomialLR(o, k)),
    "CosineAnnealingLR": lambda k: rates(lambda o: S.CosineAnnealingLR(o, k)),
    "CosineAnnealingWarmRestarts": lambda k: rates(lambda o: S.CosineAnnealingWarmRestarts(o, k, k)),
    "CyclicLR": lambda k: rates(lambda o: S.CyclicLR(o, 0.1, 0.5, k, k)),
    "OneCycleLR": lambda k: rates(lambda o: S.OneCycleLR(o, 0.5, epochs=k, steps_per_epoch=k)),
    "total_steps": lambda k: rates(lambda o: S.OneCycleLR(o, 0.5, total_steps=2 * k)),
    "ReduceLROnPlateau": lambda k: rates(lambda o: S.ReduceLROnPlateau(o, patience=k, cooldown=k), 1.0),
    "SequentialLR": lambda k: rates(lambda o: S.SequentialLR(o, [S.ConstantLR(o), S.ExponentialLR(o, 0.5)], [k])),
    "SWALR": lambda k: rates(lambda o: W.SWALR(o, 0.1, anneal_epochs=k)),
    "Linear": lambda k: nn.Linear(k, k).weight.tolist(),
    "randn": lambda k: ol.randn(k, k).tolist(),
    "arange": lambda k: ol.arange(k).tolist(),
    "reshape": lambda k: ol.arange(6).reshape(k, 2).tolist(),
    "dim": lambda k: ol.ones(1, 1, 1, 4).sum(k).tolist(),
    "DataLoader": lambda k: [x.tolist() for (x,) in DataLoader(TensorDataset(ol.arange(7)), batch_size=k)],
}


def drawn(make, number):
    ol.manual_seed(0)
    return make(number)


@pytest.mark.parametrize("form", FLOATS, ids=called)
@pytest.mark.parametrize("name", WITH_FLOAT)
def test_a_float_elsewhere(name, form):
    # a 0-d tensor as a factor is float32 in what it is multiplied with
    np.testing.assert_allclose(WITH_FLOAT[name](form(0.5)), WITH_FLOAT[name](0.5), rtol=1e-7)


@pytest.mark.parametrize("form", INTEGERS, ids=called)
@pytest.mark.parametrize("name", WITH_INTEGER)
def test_an_integer_elsewhere(name, form):
    assert drawn(WITH_INTEGER[name], form(3)) == drawn(WITH_INTEGER[name], 3)


def test_a_seed():
    for form in INTEGERS:
        ol.manual_seed(form(3))
        assert ol.initial_seed() == 3


def test_a_group_holds_plain_python():
    group = optimizer(optim.Adam, lr=np.float32(0.5), betas=[np.float64(0.9), np.array(0.99)])[0].param_groups[0]
    assert type(group["lr"]) is float and group["betas"] == (0.9, 0.99)
    assert [type(x) for x in group["betas"]] == [float, float]


def test_an_integer_that_no_float_can_hold():
    with pytest.raises(ValueError, match="Invalid learning rate: 1000"):
        optimizer(lr=10**400)


@pytest.mark.parametrize(("dtype", "lr", "most"), [(ol.float16, 1e5, 6e4), (ol.float32, 1e39, 1e38)], ids=str)
def test_a_learning_rate_that_the_parameter_cannot_hold(dtype, lr, most):
    p = ol.tensor([1.0], dtype=dtype, requires_grad=True)
    with pytest.raises(ValueError, match=f"too large for .*float{dtype.itemsize * 8}"):
        optim.SGD([p], lr=lr)
    made = optim.SGD([p], lr=most)
    p.grad = ol.zeros(1, dtype=dtype)
    made.step()
    for value in (lr, ol.tensor(lr, dtype=ol.float64)):
        made.param_groups[0]["lr"] = value
        with pytest.raises(ValueError, match="too large"):
            made.step()
    assert p.tolist() == [1.0]
