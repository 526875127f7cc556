"""What optimizers and training programs written in torch's style call besides: the same program gives what torch gives."""

import warnings

import pytest

import optimlab as ol


def both():
    return ol, pytest.importorskip("torch", reason="torch is not installed; these are compared with it alone")


def plain(x):
    """Results as nested lists."""
    if hasattr(x, "tolist"):
        return x.tolist()
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return [plain(y) for y in x] if isinstance(x, (tuple, list)) else x


def alike(ours, theirs, rel=1e-12):
    """Equal, floats to a few roundings of float64."""
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(alike(a, b, rel) for a, b in zip(ours, theirs, strict=True))
    return ours == pytest.approx(theirs, rel=rel, abs=1e-14) if isinstance(theirs, float) else ours == theirs


def evaluated(torch, text, names):
    """What an expression gives, or the kind of error that it raises."""
    torch.set_default_dtype(torch.float64)
    try:
        found = names(torch)
        result = eval(text, {"torch": torch, **found})
        return plain([result, list(found.values())])
    finally:
        torch.set_default_dtype(torch.float32)


def lists(torch):
    a = [torch.tensor([0.5, 1.5]), torch.tensor([[2.0], [0.25]])]
    return {"a": a, "b": [x + 1 for x in a], "c": [x * x for x in a]}


FOREACH = """
add(a, b)
add(a, b, alpha=-0.5)
add_(a, 1)
add(a, [1, 2.5])
add(a, torch.tensor(2.0))
sub_(a, b)
mul(a, b)
mul_(a, 0.9)
div_(a, b)
div(a, [2.0, 4.0])
pow(a, 2)
pow(2.0, a)
pow_(a, [2, 3])
lerp(a, b, 0.1)
lerp_(a, b, 0.9)
lerp(a, b, c)
addcmul_(a, b, c, 0.5)
addcmul(a, b, c, value=0.5)
addcdiv_(a, b, c, [1.0, -2.0])
addcdiv(a, b, c, -0.1)
maximum_(a, b)
minimum(a, b)
clamp_min_(a, 0.4)
clamp_max(a, 1.0)
sqrt(a)
sqrt_(a)
rsqrt_(a)
reciprocal_(a)
neg(a)
neg_(a)
abs_(a)
sign_(a)
exp(a)
log(a)
norm(a)
norm(a, 1)
max(a)
copy_(a, b)
zero_(a)
clone(a)
"""


@pytest.mark.parametrize("text", FOREACH.strip().splitlines())
def test_lists_of_tensors(text):
    ours, theirs = (evaluated(t, f"torch._foreach_{text}", lists) for t in both())
    assert alike(ours, theirs), (ours, theirs)


def matrices(torch):
    a = torch.tensor([[2.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 1.5]])
    return {"A": a, "B": torch.stack([a, a @ a]), "W": a[:2], "x": a[0]}


LINALG = """
norm(A)
norm(W, 2)
norm(W, 1)
norm(W, -1)
norm(W, float('inf'))
norm(W, 'nuc')
norm(W, ord=3, dim=1)
norm(x, 3)
norm(B, dim=(0, 2))
norm(B, 1, dim=(2, 0))
vector_norm(A, 1)
vector_norm(A, dim=0, keepdim=True)
matrix_norm(B, -2)
matrix_norm(B, 'fro', keepdim=True)
matrix_norm(B, 2, dim=(0, 1), keepdim=True)
inv(B)
solve(A, x)
solve(A, W.T)
solve(B, A)
det(B)
cholesky(B)
svdvals(W)
svd(W, full_matrices=False).S
qr(W).R.abs()
eigvalsh(B)
eigh(A).eigenvalues
eigh(A)[1].abs()
slogdet(B)
pinv(W)
"""


@pytest.mark.parametrize("text", LINALG.strip().splitlines())
def test_linear_algebra(text):
    ours, theirs = (evaluated(t, f"torch.linalg.{text}", matrices) for t in both())
    assert alike(ours, theirs), (ours, theirs)


@pytest.mark.parametrize("text", ["inv(B)", "solve(A, x)", "solve(B, W.T)", "det(B)", "cholesky(B)", "norm(W, 1)"])
def test_derivatives_of_linear_algebra(text):
    def function(a):
        found = {"A": a, "B": ol.stack([a, a @ a.t()]), "W": a[:2], "x": a[0], "linalg": ol.linalg}
        return eval(f"linalg.{text}", found)

    a = ol.tensor([[2.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 1.5]], dtype=ol.float64, requires_grad=True)
    if text == "cholesky(B)":  # it reads one triangle alone: of a symmetric matrix, as torch's derivative takes it
        assert ol.autograd.gradcheck(lambda a: function((a + a.t()) / 2), (a,))
    else:
        assert ol.autograd.gradcheck(function, (a,)) and ol.autograd.gradgradcheck(function, (a,))


def test_linear_algebra_refuses():
    a, linalg = ol.tensor([[1.0, 2.0], [2.0, 4.0]]), ol.linalg
    for call, kind, message in [
        (lambda: linalg.inv(a * 0), linalg.LinAlgError, "linalg.inv: Singular matrix"),
        (lambda: linalg.cholesky(-a), RuntimeError, "linalg.cholesky: .*not positive definite"),
        (lambda: linalg.inv(a[0]), RuntimeError, "at least 2 dimensions"),
        (lambda: linalg.inv(a[:1]), RuntimeError, "square"),
        (lambda: linalg.inv(a.long()), RuntimeError, "Got torch.int64"),
        (lambda: linalg.inv(3), TypeError, "must be a Tensor"),
        (lambda: linalg.solve(a, ol.ones(3)), RuntimeError, r"\(2x2 and 3x1\)"),
        (lambda: linalg.solve(a, a.double()), RuntimeError, "same dtype"),
        (lambda: linalg.matrix_norm(a, 3), RuntimeError, "Order 3 not supported"),
        (
            lambda: linalg.svdvals(a.requires_grad_()),
            NotImplementedError,
            r"svdvals has no derivative here.*detach\(\)",
        ),
        (lambda: ol._foreach_add([a], [1, 2]), RuntimeError, "same number"),
        (lambda: ol._foreach_add([], 1), RuntimeError, "at least one tensor"),
        (lambda: ol._foreach_add(a, 1), TypeError, "takes a list of tensors"),
    ]:
        with pytest.raises(kind, match=message):
            call()
    with ol.no_grad():
        assert linalg.svdvals(a).shape == (2,)


def scaled_steps(torch):
    """A scaler that works, with a step that overflows, one of an optimizer's own, clipping, and a state that goes on."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    printed = [scaler.get_scale(), scaler.is_enabled()]
    for i in range(7):
        optimizer.zero_grad()
        loss = (w * w).sum() * (1e38 if i == 2 else 1.0)
        scaler.scale(loss).backward()
        if i % 2:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        scaler.update()
        printed.append((scaler.get_scale(), scaler.state_dict(), w.tolist()))
        if i == 4:
            state, scaler = scaler.state_dict(), torch.amp.GradScaler("cpu", growth_factor=3.0)
            scaler.load_state_dict(state)
    scaler.scale([loss, loss])
    scaler.update(4.0)
    printed.append((scaler.get_scale(), scaler.state_dict()))
    return printed


def test_a_scaler_on_the_cpu():
    ours, theirs = map(scaled_steps, both())
    assert str(ours) == str(theirs)


def the_older_scaler(torch):
    """Both names of the scaler and of autocast for a GPU, on a machine without one."""
    from torch.cuda.amp import GradScaler, autocast

    w = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    scaler, other = GradScaler(), torch.amp.GradScaler("cuda")
    for s in (scaler, other):
        with autocast(), torch.amp.autocast("cuda", dtype=torch.float16):
            loss = (w * w).sum()
        s.scale(loss).backward()
        s.unscale_(optimizer)
        s.step(optimizer)
        s.update()
    return (
        w.tolist(),
        scaler.get_scale(),
        scaler.state_dict(),
        scaler.is_enabled(),
        isinstance(scaler, torch.GradScaler),
    )


def test_a_scaler_without_a_gpu():
    found = []
    for t in both():
        with warnings.catch_warnings(record=True) as seen, ol.as_torch() if t is ol else warnings.catch_warnings():
            warnings.simplefilter("always")
            found.append(the_older_scaler(t))
        texts = [str(w.message) for w in seen]
        found.append([[word in text for word in ("deprecated", "Disabling")] for text in texts])
    assert found[:2] == found[2:]


def test_a_scaler_refuses():
    with pytest.warns(UserWarning, match="bfloat16.*Disabling autocast"), ol.autocast("cpu"):
        assert (ol.ones(2) @ ol.ones(2)).dtype is ol.float32
    w = ol.ones(1, requires_grad=True)
    optimizer, scaler = ol.optim.SGD([w], lr=0.1), ol.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match=r"Attempted step but _scale is None"):
        scaler.step(optimizer)
    scaler.scale(w.sum()).backward()
    with pytest.raises(AssertionError, match=r"No inf checks"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"state dict is empty"):
        scaler.load_state_dict({})
    assert w.item() == pytest.approx(0.9)
    half = ol.ones(1, dtype=ol.float16, requires_grad=True)
    half.grad = ol.ones(1, dtype=ol.float16)
    scaler.update()
    with pytest.raises(ValueError, match="FP16"):
        scaler.step(ol.optim.SGD([half], lr=0.1))
    assert half.grad.item() == 1


def anomalies(torch):
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    found = []
    for begin in (
        lambda: torch.autograd.set_detect_anomaly(True),
        lambda: torch.autograd.detect_anomaly(),
        lambda: torch.autograd.detect_anomaly(check_nan=False),
        lambda: torch.autograd.set_detect_anomaly(False),
    ):
        try:
            with begin():
                (x.sqrt() * 0).sum().backward()
            found.append(str(x.grad))
        except RuntimeError as error:
            found.append(str(error).rstrip(".").partition(":")[0])
    torch.autograd.set_detect_anomaly(True)
    try:
        (x.sqrt() * 0).sum().backward()
    except RuntimeError:
        found.append("on until it is switched off")
    torch.autograd.set_detect_anomaly(False)
    return found


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled", "ignore:Error detected in SqrtBackward0")
def test_anomalies_are_named():
    ours, theirs = map(anomalies, both())
    assert ours == theirs
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        ol.autograd.detect_anomaly()


def hooks(torch):
    """What full backward hooks see and change."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    seen = []

    def hook(module, grad_input, grad_output):
        seen.append((type(module).__name__, [g if g is None else g.tolist() for g in (*grad_input, *grad_output)]))

    handles = [layer.register_full_backward_hook(hook) for layer in net]
    x = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = net(x)
    seen.append(y.grad_fn.name())
    y.sum().backward()
    handles[0].remove()
    net[1].register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 2,))
    with torch.no_grad():
        net(x)
    net(x).sum().backward()
    net.register_full_backward_hook(hook)
    net(x.detach()).sum().backward()
    return seen, x.grad.tolist(), [p.grad.tolist() for p in net.parameters()]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks():
    found = []
    for t in both():
        t.set_default_dtype(t.float64)
        try:
            found.append(hooks(t))
        finally:
            t.set_default_dtype(t.float32)
    assert alike(*map(plain, found)), found


def test_backward_hooks_refuse():
    class Sum(ol.nn.Module):
        def forward(self, a, b):
            return a + b

    class Two(ol.nn.Module):
        def forward(self, a):
            return a, a

    x = ol.ones(1, requires_grad=True)
    for module, args in ((Sum(), (x, x)), (Two(), (x,))):
        module.register_full_backward_hook(lambda *_: None)
        with pytest.raises(NotImplementedError, match=r"register_hook\(\) of the tensors"):
            module(*args)
    linear = ol.nn.Linear(1, 1)
    linear.register_full_backward_hook(lambda *_: (x, x))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        linear(x).backward()


def called_with_others(torch):
    """A network as a function of its parameters: a step on a copy, tied weights, buffers."""
    from torch.func import functional_call

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    net[2].weight = net[0].weight
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    weights = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    loss = (functional_call(net, weights, x) ** 2).sum()
    grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    fast = {name: p - 0.1 * g for (name, p), g in zip(weights.items(), grads, strict=True)}
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    second = (functional_call(net, (fast, buffers), (x,)) ** 2).sum()
    second.backward()
    return [
        loss.item(), second.item(), [p.grad.tolist() for p in weights.values()], [p.grad for p in net.parameters()],
        plain(list(buffers.values())), [b.tolist() for b in net.buffers()],
        functional_call(net[0], {"weight": torch.zeros(2, 2), "other": x}, kwargs={"input": x}).tolist(),
        net[0].weight is net[2].weight,
    ]  # fmt: skip


def test_a_module_as_a_function():
    found = []
    for t in both():
        with ol.as_torch() if t is ol else warnings.catch_warnings():
            t.set_default_dtype(t.float64)
            try:
                found.append(called_with_others(t))
            finally:
                t.set_default_dtype(t.float32)
    # batch normalisation of three examples, differentiated twice: a difference of nearly equal numbers
    assert alike(*map(plain, found), rel=1e-9), found
    linear = ol.nn.Linear(2, 1)
    for given, kind, message in [
        ({"weight": ol.ones(1, 2)}, RuntimeError, "missing keys"),
        (({"bias": ol.ones(1)}, {"bias": ol.ones(1)}), ValueError, "multiple dictionaries"),
        (3, ValueError, "Expected parameter_and_buffer_dicts to be a dict"),
        ({"weight": 3}, TypeError, "3 is not an instance of torch.Tensor"),
    ]:
        with pytest.raises(kind, match=message):
            ol.func.functional_call(linear, given, ol.ones(2), strict=True)
    assert all(isinstance(p, ol.nn.Parameter) for p in linear._parameters.values())


def test_the_default_device_is_the_cpu():
    ol.set_default_device("cpu")
    assert ol.get_default_device() == ol.device("cpu")
    with pytest.raises(AssertionError, match="CUDA"):
        ol.set_default_device("cuda")
