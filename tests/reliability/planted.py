"""One good optimizer, and for each check of ``check_optimizer`` a copy of it with one mistake that this check alone finds.

The mistakes are those that learners make. Some show late, or on few inputs, so that no other check meets them.
"""

import math
import warnings
from types import MethodType

import numpy as np

from optimlab import enable_grad, no_grad, rand, set_grad_enabled
from optimlab import float64 as double
from optimlab.checks import Number
from optimlab.optim import Optimizer
from optimlab.tensor import Tensor


class Good(Optimizer):
    """SGD with momentum, as a learner writes it."""

    checks = {"lr": Number("Invalid learning rate: {value}", low=0), "momentum": Number(low=0)}

    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @no_grad()
    def step(self, closure=None):
        loss = self.loss(closure)
        jobs = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    if self.without_gradient(p):
                        break
                    continue
                self.inspect(p)
                jobs.append((p, group))
        for p, group in jobs:
            self.update(p, p.grad, self.state[p], group)
        return loss

    def loss(self, closure):
        if closure is None:
            return None
        with enable_grad():
            return closure()

    def without_gradient(self, p):
        """What is done where there is no gradient; true ends the loop."""

    def inspect(self, p):
        if "v" in self.state.get(p, {}) and self.state[p]["v"].shape != p.shape:
            raise ValueError(f"the parameter is {p.shape}, its velocity {self.state[p]['v'].shape}")

    def update(self, p, g, state, group):
        state["t"] = state.get("t", 0) + 1
        state["v"] = state["v"] * group["momentum"] + g if "v" in state else g.clone()
        self.move(p, state["v"], state, group)

    def move(self, p, v, state, group):
        p.sub_(group["lr"] * v)


PLANTED = {}


def bug(cls):
    """A mistake, filed under the name of the check that is to find it."""
    PLANTED[cls.__name__] = cls
    return cls


def with_params(change):
    """A constructor that changes params before anything looks at them."""

    def __init__(self, params, lr=0.1, momentum=0.5):
        Good.__init__(self, change(params), lr, momentum)

    return __init__


def with_lr(change):
    """A constructor that changes the learning rate before anything looks at it."""

    def __init__(self, params, lr=0.1, momentum=0.5):
        Good.__init__(self, params, change(lr), momentum)

    return __init__


def refuse(kind, found):
    if found:
        raise kind("not this")


def each(params, change):
    """``change`` applied to every tensor, in groups too."""
    if not isinstance(params, (list, tuple)):
        return params
    return [{**p, "params": [change(q) for q in p["params"]]} if isinstance(p, dict) else change(p) for p in params]


def unnamed(params):
    return [p[1] if isinstance(p, tuple) else p for p in params] if isinstance(params, list) else params


def first_groups(params):
    seen = set()
    if not (isinstance(params, list) and all(isinstance(p, dict) for p in params)):
        return params
    return [{**g, "params": [p for p in g["params"] if not (id(p) in seen or seen.add(id(p)))]} for g in params]


@bug
class takes_a_generator(Good):
    __init__ = with_params(lambda params: refuse(TypeError, hasattr(params, "__next__")) or params)


@bug
class takes_names(Good):
    __init__ = with_params(unnamed)


@bug
class refuses_no_params(Good):
    __init__ = with_params(lambda params: [Tensor(0.0)] if params == [] else params)


@bug
class refuses_a_bare_tensor(Good):
    __init__ = with_params(lambda params: [params] if isinstance(params, Tensor) else params)


@bug
class refuses_what_is_no_tensor(Good):
    __init__ = with_params(lambda ps: each(ps, lambda p: Tensor(p) if isinstance(p, np.ndarray) else p))


@bug
class refuses_a_parameter_twice(Good):
    __init__ = with_params(lambda ps: list({id(p): p for p in ps}.values()) if isinstance(ps, list) else ps)


@bug
class refuses_a_parameter_in_two_groups(Good):
    __init__ = with_params(first_groups)


@bug
class refuses_a_computed_tensor(Good):
    __init__ = with_params(lambda ps: each(ps, lambda p: p.detach() if isinstance(p, Tensor) and p.grad_fn else p))


@bug
class refuses_a_negative_lr(Good):
    __init__ = with_lr(lambda lr: 0.1 if isinstance(lr, float) and lr < 0 else lr)


@bug
class refuses_a_nan_lr(Good):
    __init__ = with_lr(lambda lr: 0.1 if lr is math.nan else lr)


@bug
class refuses_an_infinite_lr(Good):
    __init__ = with_lr(lambda lr: 0.1 if lr is math.inf else lr)


@bug
class refuses_words_for_an_lr(Good):
    __init__ = with_lr(lambda lr: float(lr) if isinstance(lr, str) else lr)


@bug
class refuses_a_negative_lr_in_a_group(Good):
    def add_param_group(self, group):
        super().add_param_group({**group, "lr": abs(group["lr"])} if "lr" in group else group)


@bug
class takes_a_numpy_lr(Good):
    __init__ = with_lr(lambda lr: refuse(TypeError, isinstance(lr, np.generic)) or lr)


@bug
class takes_a_tensor_lr(Good):
    def move(self, p, v, state, group):
        p.sub_((0.1 if isinstance(group["lr"], Tensor) else group["lr"]) * v)


@bug
class names_lr_as_a_default(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        del self.defaults["lr"]

    def add_param_group(self, group):
        super().add_param_group(group if "lr" in self.defaults else {"lr": 0.1, **group})


@bug
class starts_where_the_parameters_are(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        if len(self.param_groups[0]["params"]) == 1 and len(self.param_groups) == 1:
            self.param_groups[0]["params"][0].data.mul_(0.5)


@bug
class leaves_gradients_when_built(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        self.zero_grad()


@bug
class shows_its_options(Good):
    def __repr__(self):
        return "Good"


@bug
class goes_against_the_gradient(Good):
    def move(self, p, v, state, group):
        p.sub_((-1 if state["t"] == 1 else 1) * group["lr"] * v)


@bug
class keeps_descending(Good):
    def move(self, p, v, state, group):
        if state["t"] < 45:
            super().move(p, v, state, group)


@bug
class leaves_parameters_without_gradient(Good):
    def without_gradient(self, p):
        if p.requires_grad and p in self.state:
            p.sub_(0.1 * self.state[p]["v"])


@bug
class goes_on_behind_a_missing_gradient(Good):
    def without_gradient(self, p):
        return True


@bug
class remembers_nothing_without_gradient(Good):
    def without_gradient(self, p):
        if p not in self.state:
            self.state[p]["v"] = p.detach() * 0


@bug
class a_frozen_parameter_is_left(Good):
    def without_gradient(self, p):
        if not p.requires_grad and p in self.state:
            p.sub_(0.1 * self.state[p]["v"])


@bug
class keeps_float32(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        if state["t"] == 4:
            p.data = p.data.to(double)


@bug
class computes_in_float64(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        p.copy_(p.float().to(p.dtype))


@bug
class keeps_the_shape(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        if state["t"] == 5:
            p.data = p.data.reshape(1, *p.shape)
            state["v"] = state["v"].reshape(p.shape)


@bug
class writes_into_the_parameter(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        if state["t"] == 6:
            i = [q is p for q in group["params"]].index(True)
            group["params"][i] = new = p.detach().clone().requires_grad_()
            self.state[new] = self.state.pop(p)


@bug
class writes_into_the_memory(Good):
    def move(self, p, v, state, group):
        p.data = p.data - group["lr"] * v


@bug
class leaves_the_gradient(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        p.grad.add_(1.0)


@bug
class stays_a_leaf(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        if state["t"] == 3:
            p.requires_grad_(False)


@bug
class state_is_not_recorded(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        state["scale"] = Tensor(1.0, requires_grad=True)


@bug
class steps_a_single_number(Good):
    def move(self, p, v, state, group):
        if p.ndim:
            super().move(p, v, state, group)


@bug
class steps_an_empty_tensor(Good):
    def move(self, p, v, state, group):
        super().move(p, v * (p.numel() / p.numel()), state, group)


@bug
class strided_parameters_are_alike(Good):
    def move(self, p, v, state, group):
        if p.detach().numpy().flags.c_contiguous:
            super().move(p, v, state, group)


@bug
class strided_gradients_are_alike(Good):
    def update(self, p, g, state, group):
        flat = g.numpy().ravel(order="K")  # the order of memory
        super().update(p, Tensor(flat.reshape(p.shape), dtype=p.dtype), state, group)


@bug
class order_does_not_matter(Good):
    def move(self, p, v, state, group):
        first = p is self.param_groups[0]["params"][0]
        super().move(p, v if first else 0.5 * v, state, group)


@bug
class each_group_has_its_lr(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, self.param_groups[0])


@bug
class a_new_lr_counts_at_once(Good):
    def add_param_group(self, group):
        super().add_param_group(group)
        self.param_groups[-1]["first_lr"] = self.param_groups[-1]["lr"]

    def move(self, p, v, state, group):
        p.sub_(group["first_lr"] * v)


@bug
class schedules_reach_it(Good):
    def move(self, p, v, state, group):
        p.sub_(group.get("initial_lr", group["lr"]) * v)


@bug
class draws_no_random_numbers(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        rand(1)


@bug
class optimizers_are_strangers(Good):
    steps = {}

    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        self.steps["taken"] = 0

    def move(self, p, v, state, group):
        self.steps["taken"] += 1
        super().move(p, v if self.steps["taken"] < 40 else 0.5 * v, state, group)


@bug
class follows_the_present_gradient(Good):
    def update(self, p, g, state, group):
        kept = state.setdefault("g", g.clone())
        super().update(p, kept if state.get("t") == 3 else g, state, group)


@bug
class follows_the_present_parameter(Good):
    def move(self, p, v, state, group):
        state["x"] = state.get("x", p.detach()) - group["lr"] * v
        p.copy_(state["x"])


@bug
class follows_new_data(Good):
    def move(self, p, v, state, group):
        kept = self.__dict__.setdefault("data", {})
        kept.setdefault(p, p.data).sub_(group["lr"] * v)


@bug
class state_is_not_the_gradient(Good):
    def update(self, p, g, state, group):
        state["t"] = state.get("t", 0) + 1
        state["v"] = state["v"].mul_(group["momentum"]).add_(g) if "v" in state else g
        self.move(p, state["v"], state, group)


@bug
class state_is_not_the_parameter(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        state["x"] = p.detach()


@bug
class state_does_not_grow(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        state.setdefault("norms", []).append(float(v.sum()))


@bug
class survives_large_gradients(Good):
    def update(self, p, g, state, group):
        super().update(p, g * g * g / (g * g + 1e-40), state, group)


@bug
class survives_tiny_gradients(Good):
    def update(self, p, g, state, group):
        super().update(p, g * g * g / (g * g), state, group)

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None and bool((abs(p.grad.detach()) > 1e10).any()):
                return None
        return super().step(closure)


@bug
class nan_stays_where_it_is(Good):
    def update(self, p, g, state, group):
        total = sum(float(q.grad.sum()) for q in group["params"] if q.grad is not None and q.ndim)
        super().update(p, g + 0 * total, state, group)


@bug
class a_failing_step_changes_nothing(Good):
    def inspect(self, p):
        pass


@bug
class is_silent(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        print(state["t"])


@bug
class warns_of_nothing(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        warnings.warn("a step", UserWarning, stacklevel=2)


@bug
class gives_back_the_loss(Good):
    def loss(self, closure):
        super().loss(closure)


@bug
class gives_back_nothing_without_closure(Good):
    def loss(self, closure):
        return 0.0 if closure is None else super().loss(closure)


@bug
class calls_the_closure_once(Good):
    def loss(self, closure):
        super().loss(closure)
        return super().loss(closure)


@bug
class records_inside_the_closure(Good):
    def loss(self, closure):
        return closure() if closure else None


@bug
class uses_the_closures_gradients(Good):
    @no_grad()
    def step(self, closure=None):
        super().step()
        return self.loss(closure)


@bug
class restores_recording(Good):
    def step(self, closure=None):
        loss = super().step(closure)
        set_grad_enabled(False)
        return loss


@bug
class a_failing_closure_changes_nothing(Good):
    def loss(self, closure):
        try:
            return super().loss(closure)
        except ArithmeticError:
            return None


@bug
class hooks_run_around_it(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        self.step = MethodType(Good.step.__wrapped__, self)


@bug
class zero_grad_forgets(Good):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none=False)


@bug
class zero_grad_can_write_zeros(Good):
    def zero_grad(self, set_to_none=True):
        super().zero_grad()


@bug
class zero_grad_moves_nothing(Good):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none)
        for p in self.param_groups[0]["params"]:
            p.data.mul_(0.5)


@bug
class steps_a_group_that_comes_later(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        self.known = len(self.param_groups)

    def inspect(self, p):
        super().inspect(p)
        if not any(q is p for group in self.param_groups[: self.__dict__.get("known")] for q in group["params"]):
            p.grad = p.grad * 0


@bug
class a_later_group_gets_the_defaults(Good):
    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr, momentum)
        self.built = True

    def add_param_group(self, group):
        super().add_param_group(group)
        if "built" in self.__dict__:
            del self.param_groups[-1]["momentum"]

    def update(self, p, g, state, group):
        super().update(p, g, state, {"momentum": 0.5, **group})


@bug
class a_later_group_leaves_the_others(Good):
    def add_param_group(self, group):
        super().add_param_group(group)
        self.state.clear()


@bug
class its_state_is_plain(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        self.state["all"] = {"t": state["t"]}


@bug
class goes_on_where_it_was(Good):
    def loss(self, closure):
        self.t = self.__dict__.get("t", 0) + 1
        return super().loss(closure)

    def move(self, p, v, state, group):
        p.sub_(group["lr"] / self.t * v)

    def __getstate__(self):
        return {**super().__getstate__(), "t": self.__dict__.get("t", 0)}


@bug
class loading_brings_the_options(Good):
    def load_state_dict(self, state_dict):
        lrs = [group["lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, lr in zip(self.param_groups, lrs, strict=True):
            group["lr"] = lr


@bug
class loading_moves_nothing(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        state["x"] = p.detach().clone()

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for p in group["params"]:
                if p in self.state:
                    p.data.copy_(self.state[p]["x"])


@bug
class loading_copies(Good):
    def update(self, p, g, state, group):
        state["t"] = state.get("t", 0) + 1
        state["v"] = state["v"].mul_(group["momentum"]).add_(g) if "v" in state else g.clone()
        self.move(p, state["v"], state, group)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for p, given in zip(self.param_groups[0]["params"], state_dict["state"].values(), strict=False):
            self.state[p]["v"] = given["v"]


@bug
class refuses_a_state_of_other_groups(Good):
    def load_state_dict(self, state_dict):
        if len(state_dict["param_groups"]) == len(self.param_groups):
            super().load_state_dict(state_dict)


@bug
class refuses_a_state_of_other_size(Good):
    def load_state_dict(self, state_dict):
        sizes = [[len(g["params"]) for g in groups] for groups in (state_dict["param_groups"], self.param_groups)]
        if len(sizes[0]) != len(sizes[1]) or sizes[0] == sizes[1]:
            super().load_state_dict(state_dict)


@bug
class a_refused_state_changes_nothing(Good):
    def load_state_dict(self, state_dict):
        if len(state_dict["param_groups"]) == len(self.param_groups):
            self.state.clear()
        super().load_state_dict(state_dict)


@bug
class a_file_brings_it_back(Good):
    def move(self, p, v, state, group):
        super().move(p, v, state, group)
        state["rule"] = len


@bug
class a_copy_is_its_own(Good):
    def __deepcopy__(self, memo):
        return self
