"""``check_optimizer`` passes what is good, and finds each planted mistake by the one check that is made for it."""

import doctest

import pytest

from optimlab import optim
from optimlab.testing import OptimizerCheckError, check_optimizer
from optimlab.testing.checks import CHECKS
from planted import PLANTED, Good

EAGER = {"remembers_nothing_without_gradient": "Adagrad begins with its sums, as torch's does"}
OURS = [
    (optim.SGD, {}, ()),
    (optim.SGD, {"momentum": 0.9, "nesterov": True}, ()),
    (optim.ASGD, {}, ()),
    (optim.Rprop, {}, ()),
    (optim.Adagrad, {}, EAGER),
    (optim.Adadelta, {}, ()),
    (optim.RMSprop, {"momentum": 0.5, "centered": True}, ()),
    (optim.Adam, {}, ()),
    (optim.Adam, {"amsgrad": True, "weight_decay": 0.01}, ()),
    (optim.AdamW, {}, ()),
    (optim.Adamax, {}, ()),
    (optim.NAdam, {}, ()),
    (optim.RAdam, {}, ()),
]


@pytest.mark.parametrize(("cls", "options", "skip"), OURS, ids=[f"{c.__name__}{list(o)}" for c, o, _ in OURS])
def test_ours_pass(cls, options, skip):
    assert check_optimizer(cls, skip=skip, **options) == [name for name in CHECKS if name not in skip]


def test_a_learners_passes():
    assert len(check_optimizer(Good)) == len(CHECKS) >= 60


def test_every_check_has_its_mistake():
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_one_check_finds_a_mistake(name):
    with pytest.raises(OptimizerCheckError) as error:
        check_optimizer(PLANTED[name])
    assert error.value.failed == [name], str(error.value)
    advice = " ".join(CHECKS[name].__doc__.split())
    assert advice in str(error.value) and advice.endswith(".") and len(advice) > 40


def test_an_error_that_stops_many_checks_is_told_once():
    class Recording(Good):
        def step(self, closure=None):
            self.loss(closure)
            for p in self.param_groups[0]["params"]:
                if p.grad is not None:
                    p -= self.param_groups[0]["lr"] * p.grad

    with pytest.raises(OptimizerCheckError) as error:
        check_optimizer(Recording)
    text = str(error.value)
    assert len(error.value.failed) > 40 and text.count("change it inside `with no_grad():`") == 1
    assert text.index("mend this first") < text.index("✗ gives_back_the_loss")


def test_skip_takes_names_of_checks_alone():
    with pytest.raises(ValueError, match="is_silent"):
        check_optimizer(Good, skip=["is_quiet"])


def test_the_docstring_runs():
    assert not doctest.testmod(__import__("optimlab.testing.optimizer", fromlist=["x"])).failed
