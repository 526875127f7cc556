"""What holds when an optimizer is built.

构造优化器时应成立的性质。
"""

import math
from typing import Any

import numpy as np

from optimlab.tensor import Tensor
from optimlab.testing.checks.world import Make, check, give, leaf, pair, refuses, walk


@check
def takes_a_generator(make: Make) -> Any:
    """Params may be a generator, as ``model.parameters()`` is one; it can be gone through only once. Do not loop
    over ``params`` before ``super().__init__``."""
    ps = [leaf(make), leaf(make, 1)]
    return len(make(p for p in ps).param_groups[0]["params"]) == 2


@check
def takes_names(make: Make) -> Any:
    """Params may be (name, tensor) pairs, as ``model.named_parameters()`` gives them."""
    return make([("w", leaf(make)), ("b", leaf(make, 1))]).param_groups[0]["param_names"] == ["w", "b"]


@check
def refuses_no_params(make: Make) -> Any:
    """An empty list of params is a mistake in the program: raise ValueError, as ``super().__init__`` does."""
    return refuses(ValueError, lambda: make([]))


@check
def refuses_a_bare_tensor(make: Make) -> Any:
    """A tensor is not a list of tensors: raise TypeError, as ``super().__init__`` does."""
    return refuses(TypeError, lambda: make(leaf(make)))


@check
def refuses_what_is_no_tensor(make: Make) -> Any:
    """Arrays and numbers cannot be optimized: raise TypeError, as ``add_param_group`` does."""
    return refuses(TypeError, lambda: make([np.ones(2)]))


@check
def refuses_a_parameter_twice(make: Make) -> Any:
    """A parameter given twice would step twice: raise ValueError, as ``add_param_group`` does."""
    p = leaf(make)
    return refuses(ValueError, lambda: make([p, p]))


@check
def refuses_a_parameter_in_two_groups(make: Make) -> Any:
    """A parameter belongs to one group: raise ValueError, as ``add_param_group`` does."""
    p = leaf(make)
    return refuses(ValueError, lambda: make([{"params": [p]}, {"params": [p]}]))


@check
def refuses_a_computed_tensor(make: Make) -> Any:
    """A tensor that was computed is not a parameter: raise ValueError, as ``add_param_group`` does."""
    return refuses(ValueError, lambda: make([leaf(make) * 2]))


@check
def refuses_a_negative_lr(make: Make) -> Any:
    """A negative learning rate climbs: raise ValueError in ``__init__`` and name the value."""
    return refuses(ValueError, lambda: make([leaf(make)], lr=-0.1))


@check
def refuses_a_nan_lr(make: Make) -> Any:
    """``lr < 0`` lets NaN pass, for every comparison with NaN is false: write ``if not lr >= 0: raise ValueError``."""
    return refuses(ValueError, lambda: make([leaf(make)], lr=math.nan))


@check
def refuses_an_infinite_lr(make: Make) -> Any:
    """An infinite learning rate makes every parameter infinite: raise ValueError unless ``math.isfinite(lr)``."""
    return refuses(ValueError, lambda: make([leaf(make)], lr=math.inf))


@check
def refuses_words_for_an_lr(make: Make) -> Any:
    """A learning rate read from a file may still be text: raise TypeError for ``lr="0.1"``."""
    return refuses(TypeError, lambda: make([leaf(make)], lr="0.1"))


@check
def refuses_a_negative_lr_in_a_group(make: Make) -> Any:
    """Options of a group need the same checks as the constructor's: list them in ``checks``, or override ``check_group``."""
    return refuses(ValueError, lambda: make([{"params": [leaf(make)], "lr": -0.1}]))


@check
def takes_a_numpy_lr(make: Make) -> Any:
    """A learning rate may come out of an array: accept ``np.float32(0.5)``."""
    return float(make([leaf(make)], lr=np.float32(0.5)).param_groups[0]["lr"]) == 0.5


@check
def takes_a_tensor_lr(make: Make) -> Any:
    """A learning rate may be a one-element tensor, and means what the number means."""
    number, tensor = pair(make, lr=0.25), pair(make, lr=Tensor(0.25))
    return np.allclose(walk(number), walk(tensor), rtol=1e-6)  # lr is a float32 in one of the two


@check
def names_lr_as_a_default(make: Make) -> Any:
    """``defaults`` holds every option, so that a group that comes later gets it too: pass ``{"lr": lr, ...}`` on."""
    return "lr" in pair(make).defaults


@check
def starts_where_the_parameters_are(make: Make) -> Any:
    """Building an optimizer changes no parameter: start values belong to the model."""
    p = leaf(make)
    before = p.tolist()
    make([p])
    return p.tolist() == before


@check
def leaves_gradients_when_built(make: Make) -> Any:
    """Building an optimizer forgets no gradient: only ``zero_grad`` does."""
    p = give(leaf(make))
    make([p])
    return p.grad is not None


@check
def shows_its_options(make: Make) -> Any:
    """``repr`` shows the class and each group's options; leave it to ``Optimizer``."""
    text = repr(pair(make))
    return "Parameter Group 0" in text and "lr: " in text
