"""Small programs about histories: views, changes in place, hooks, second derivatives. Each takes torch or optimlab.

`python tests/graphs.py` records what the installed torch gives.
"""

import json
import warnings
from pathlib import Path

RECORDED = Path(__file__).parent / "goldens" / "graphs.json"


def leaf(torch, *numbers):
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


def in_place_through_a_view(torch):
    x = leaf(torch, 1.0, 2.0, 3.0, 4.0)
    y = x * 2
    view = y[1:3]
    view.mul_(10)
    (y * torch.arange(4)).sum().backward()
    return y, view, x.grad


def shape_changed_in_place(torch):
    x = leaf(torch, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    y = (x * x).view(2, 3)
    y.t_()
    y[0].mul_(x[:2])
    y.unsqueeze_(0).transpose_(0, 2)
    part = x.clone()[1:5]
    part.unsqueeze_(0)
    part.mul_(3)
    ((y * torch.arange(6).reshape(2, 3, 1)).sum() + (part.squeeze_(0) * x[:4]).sum()).backward()
    with torch.no_grad():
        x.unsqueeze_(1)
    return y, part, x.grad, x, x.is_leaf


def in_place_on_the_base_seen_by_a_view(torch):
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 2
    view = y[:2]
    y.mul_(3)
    view.sum().backward()
    return view, x.grad


def in_place_through_a_chain_of_views(torch):
    x = leaf(torch, 1.0, 2.0, 3.0, 4.0)
    y = x.clone()
    matrix = y.view(2, 2).t()
    matrix[0].add_(x[2:] * 5)
    matrix[1, 0] = x[0] * 7
    (y * torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)).sum().backward()
    return y, matrix, x.grad


def history_written_into_a_buffer(torch):
    w = leaf(torch, 3.0)
    out = torch.zeros(3, dtype=torch.float64)
    for i in range(3):
        out[i] = w[0] ** (i + 1)
    row = out[1:]
    out.sum().backward()
    return out, w.grad, out.requires_grad, row.requires_grad


def masked_assignment(torch):
    x = leaf(torch, -1.0, 2.0, -3.0)
    y = x * 2
    y[y < 0] = 0
    y.sum().backward()
    return y, x.grad


def in_place_families(torch):
    x, w = leaf(torch, 0.5, 2.0), leaf(torch, 3.0, -1.0)
    y = x.clone()
    y.add_(w, alpha=2).mul_(3).addcmul_(w, w, value=0.5).sub_(1).div_(2).lerp_(x, 0.25).neg_().addcdiv_(x, w)
    others = [(x * 1).exp_(), x.clone().sqrt_(), (x * 2).sigmoid_(), (x + 1).tanh_(), (x - 1).relu_()]
    others += [(x / 1).mul_(w), (x * 1).pow_(3), (x * 2).clamp_(max=3), (x * 1).abs_(), (x * 1).div_(w)]
    (y + sum(others)).sum().backward()
    return y, *others, x.grad, w.grad


def zeroed_in_place(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.zero_()
    y.add_(x)
    z = x * 3
    z.fill_(7)
    (y + z).sum().backward()
    return y, z, x.grad


def copied_in_place(torch):
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 5.0)
    y = x * 1
    y.copy_(w)
    y[0].copy_(x[1])
    y.sum().backward()
    return y, x.grad, w.grad


def slice_assignment_with_broadcast(torch):
    x, w = torch.zeros(2, 3, dtype=torch.float64), leaf(torch, 1.0, 2.0, 3.0)
    x[:] = w
    x[0, ::2] = 9
    x[:, 1] += w[0]
    x.sum().backward()
    return x, w.grad


def no_grad_changes_numbers_alone(torch):
    w = leaf(torch, 1.0, 2.0)
    with torch.no_grad():
        w.sub_(0.5)
        w[0] = 4
        w -= 1
    y = (w * w).sum()
    y.backward()
    return w, w.grad, w.requires_grad, w.is_leaf


def data_is_changed_behind_the_record(torch):
    w = leaf(torch, 1.0, 2.0)
    y = w.exp().sum()
    w.data.add_(1)
    y.backward()
    w.data = torch.tensor([7.0, 8.0], dtype=torch.float64)
    return w, w.grad


def detach_shares_memory(torch):
    w = leaf(torch, 1.0, 2.0)
    d = w.detach()
    d[0] = 5
    return w, d.requires_grad, d.is_leaf


def hooks(torch):
    seen = []
    x = leaf(torch, 1.0, 2.0)
    y = x * 3
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.sum().backward(retain_graph=True)
    first.remove()
    y.sum().backward()
    return x.grad, torch.tensor(seen)


def retained_gradients(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 3
    y.retain_grad()
    z = (y**2).sum()
    z.retain_grad()
    z.backward()
    return x.grad, y.grad, z.grad, y.retains_grad, x.retains_grad


def after_accumulation(torch):
    x = leaf(torch, 1.0, 2.0)

    def hook(p):
        p.grad.mul_(-1)

    x.register_post_accumulate_grad_hook(hook)
    (x * 2).sum().backward()
    return (x.grad,)


def gradients_of_several(torch):
    a, b = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    y, z = a * b, a.sum()
    weights = torch.tensor([1.0, 10.0], dtype=torch.float64)
    found = torch.autograd.grad([y, z], [a, b], [weights, None], retain_graph=True)
    torch.autograd.backward([y, z], [weights, None], inputs=[b])
    return (*found, b.grad, a.grad is None)


def third_derivative(torch):
    x = leaf(torch, 1.5)
    y = (x**4 + x.exp()).sum()
    found = []
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y)
    return tuple(found)


def hessian_times_vector(torch):
    x = leaf(torch, 0.5, -1.0, 2.0)
    y = (x[0] * x[1].exp() + (x**3).sum() * x[2].sigmoid()).log1p()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    v = torch.tensor([1.0, 0.5, -2.0], dtype=torch.float64)
    (hv,) = torch.autograd.grad(g @ v, x)
    return g, hv


def penalty_on_the_gradient(torch):
    w, x = leaf(torch, 0.5, -0.25), leaf(torch, 1.0, 2.0)
    score = (w * x).tanh().sum()
    (g,) = torch.autograd.grad(score, x, create_graph=True)
    (score + (g.norm() - 1) ** 2).backward()
    return w.grad, x.grad


def backward_with_a_history(torch):
    x = leaf(torch, 2.0)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    (second,) = torch.autograd.grad(first.sum(), x)
    return first, second


def accumulated_gradients(torch):
    x = leaf(torch, 1.0)
    kept = None
    for k in range(3):
        (x * k).sum().backward()
        kept = x.grad if kept is None else kept
    return x.grad, kept


def equal_elements_share(torch):
    x = leaf(torch, 2.0, 1.0, 2.0)
    x.max().backward()
    x.amin().backward()
    x.max(0).values.backward()
    return (x.grad,)


def selected_and_sorted(torch):
    x = leaf(torch, 3.0, 1.0, 2.0)
    weights = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    (x.sort().values * weights).sum().backward()
    (x.topk(2).values * weights[:2]).sum().backward()
    x.median().backward()
    x[torch.tensor([0, 0, 2])].sum().backward()
    return (x.grad,)


def switches(torch):
    x = leaf(torch, 1.0)
    found = []
    with torch.no_grad():
        found.append((x * 2).requires_grad)
        with torch.enable_grad():
            found.append((x * 2).requires_grad)
        with torch.set_grad_enabled(True):
            found.append((x * 2).requires_grad)
        found.append(torch.is_grad_enabled())
    torch.set_grad_enabled(False)
    found.append((x * 2).requires_grad)
    torch.set_grad_enabled(True)
    found.append((x * 2).requires_grad)

    @torch.no_grad()
    def steps():
        received = yield (x * 2).requires_grad
        yield received, torch.is_grad_enabled()

    generator = steps()
    found.append(next(generator))
    found.append(torch.is_grad_enabled())
    found.append(generator.send(5))

    @torch.set_grad_enabled(False)
    def off():
        return torch.is_grad_enabled()

    return (*found, off(), torch.is_grad_enabled())


def refusals(torch):
    """The kind of each error; nothing may change."""
    x = leaf(torch, 1.0, 2.0)

    def twice():
        y = (x * x).sum()
        y.backward()
        y.backward()

    def changed_operand():
        y = x * 1
        z = y * y
        y.add_(1)
        z.sum().backward()

    def changed_by_itself():
        y = x * 1
        y.mul_(y)
        y.sum().backward()

    def changed_result():
        y = x.exp()
        y.add_(1)
        y.sum().backward()

    def changed_through_a_view():
        y = x * 1
        z = y.sin()
        y[0] = 0
        z.sum().backward()

    def changed_leaf():
        z = (x * x).sum()
        with torch.no_grad():
            x.add_(0)
        z.backward()

    def changed_through_detach():
        z = (x * x).sum()
        x.detach().add_(0)
        z.backward()

    def step_in_between():
        optimizer = torch.optim.SGD([x], lr=0.0)
        z = (x * x).sum()
        x.grad = torch.zeros(2, dtype=torch.float64)
        optimizer.step()
        z.backward()

    found = []
    for program in (
        step_in_between,
        twice,
        changed_operand,
        changed_by_itself,
        changed_result,
        changed_through_a_view,
        changed_leaf,
        changed_through_detach,
    ):
        x.grad = None
        try:
            program()
        except RuntimeError as error:
            found.append((program.__name__, [w for w in ("second time", "modified by an inplace") if w in str(error)]))
    return (*found, x)


def what_saved_nothing_runs_twice(torch):
    x = leaf(torch, 1.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return (x.grad,)


def chain_of_20000(torch):
    x = leaf(torch, 1.0)
    y = x
    for _ in range(10_000):
        y = (y + 0.001) * 1.0
    y.sum().backward()
    return y, x.grad


PROGRAMS = {
    name: program
    for name, program in list(globals().items())
    if getattr(program, "__module__", None) == __name__ and name != "leaf" and callable(program)
}


def plain(value):
    """Results as JSON holds them."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return [plain(x) for x in value] if isinstance(value, (tuple, list)) else value


def run(torch, name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using backward.. with create_graph")
        return plain(PROGRAMS[name](torch))


if __name__ == "__main__":
    import torch

    found = {name: run(torch, name) for name in PROGRAMS}
    RECORDED.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{len(found)} programs recorded from torch {torch.__version__}")
