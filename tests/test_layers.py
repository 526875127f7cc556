"""Every layer and loss: derivatives checked numerically to the second order, values, gradients and texts as torch's."""

import numpy as np
import pytest

import optimlab as ol
from optimlab.testing import gradcheck, gradgradcheck

DRAW = np.random.default_rng(0)


def normal(*shape):
    return DRAW.standard_normal(shape)


def spread(*shape):
    """Numbers that lie apart, so that a small step changes no order: for pooling and other functions with kinks."""
    n = int(np.prod(shape))
    return (DRAW.permutation(n).reshape(shape) - n / 2 + 0.3) / 10


IMAGES = normal(2, 4, 5, 4)
STEPS = spread(2, 2, 6, 5)
# name: (how to make it from torch.nn, one input)
LAYERS = {
    "Linear": (lambda nn: nn.Linear(3, 2), normal(4, 3)),
    "Linear, one example": (lambda nn: nn.Linear(3, 2, bias=False), normal(3)),
    "Linear, more axes": (lambda nn: nn.Linear(3, 2), normal(2, 2, 3)),
    "Linear, empty batch": (lambda nn: nn.Linear(3, 2), normal(0, 3)),
    "Conv2d": (lambda nn: nn.Conv2d(4, 3, 3), IMAGES),
    "Conv2d, one image": (lambda nn: nn.Conv2d(4, 3, 3), IMAGES[0]),
    "Conv2d, 1 x 1": (lambda nn: nn.Conv2d(4, 3, 1, bias=False), IMAGES),
    "Conv2d, all options": (
        lambda nn: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False), IMAGES,
    ),
    "Conv2d, stride 2": (lambda nn: nn.Conv2d(4, 2, 2, stride=2, dilation=2), IMAGES),
    "Conv2d, one group a channel": (lambda nn: nn.Conv2d(4, 4, 3, padding=1, groups=4), IMAGES),
    "Conv2d, same": (lambda nn: nn.Conv2d(4, 2, (4, 3), padding="same", dilation=(1, 2)), IMAGES),
    "Conv2d, empty batch": (lambda nn: nn.Conv2d(4, 2, 3), normal(0, 4, 5, 4)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(2), STEPS),
    "MaxPool2d, overlapping": (lambda nn: nn.MaxPool2d(3, 2, 1), STEPS),
    "MaxPool2d, all options": (lambda nn: nn.MaxPool2d((3, 2), (1, 2), (1, 0), (1, 2), ceil_mode=True), STEPS),
    "MaxPool2d, one image": (lambda nn: nn.MaxPool2d((2, 3)), STEPS[0]),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2), IMAGES),
    "AvgPool2d, all options": (
        lambda nn: nn.AvgPool2d((3, 2), (2, 2), (1, 1), ceil_mode=True, count_include_pad=False), IMAGES,
    ),
    "AvgPool2d, ceil": (lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True), IMAGES),
    "AvgPool2d, divisor": (lambda nn: nn.AvgPool2d(2, divisor_override=3), IMAGES),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d(1), IMAGES),
    "AdaptiveAvgPool2d, uneven": (lambda nn: nn.AdaptiveAvgPool2d((4, None)), IMAGES[0]),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(3), normal(4, 3)),
    "BatchNorm1d, sequences": (lambda nn: nn.BatchNorm1d(3, momentum=None), normal(2, 3, 4)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(4), IMAGES),
    "BatchNorm2d, plain": (lambda nn: nn.BatchNorm2d(4, affine=False, track_running_stats=False), IMAGES),
    "BatchNorm2d, evaluated": (lambda nn: nn.BatchNorm2d(4).eval(), IMAGES),
    "LayerNorm": (lambda nn: nn.LayerNorm(3), normal(4, 3)),
    "LayerNorm, two axes": (lambda nn: nn.LayerNorm((3, 4), bias=False), normal(2, 3, 4)),
    "LayerNorm, plain": (lambda nn: nn.LayerNorm(3, elementwise_affine=False), normal(3)),
    "Dropout, evaluated": (lambda nn: nn.Dropout(0.3).eval(), normal(4, 3)),
    "Flatten": (lambda nn: nn.Flatten(), IMAGES),
    "Flatten, some axes": (lambda nn: nn.Flatten(0, 1), IMAGES),
    "Identity": (lambda nn: nn.Identity(5, x=1), normal(3)),
    "ReLU": (lambda nn: nn.ReLU(), spread(2, 3)),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(0.2), spread(2, 3)),
    "SiLU": (lambda nn: nn.SiLU(), normal(2, 3)),
    "ELU": (lambda nn: nn.ELU(0.5), spread(2, 3)),
    "Softplus": (lambda nn: nn.Softplus(), normal(2, 3)),
    "Softplus, all options": (lambda nn: nn.Softplus(2, 1), normal(2, 3)),
    "GroupNorm": (lambda nn: nn.GroupNorm(2, 4), IMAGES),
    "GroupNorm, plain": (lambda nn: nn.GroupNorm(3, 3, affine=False), normal(2, 3, 5)),
    "Tanh": (lambda nn: nn.Tanh(), normal(2, 3)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), normal(2, 3)),
    "GELU": (lambda nn: nn.GELU(), normal(2, 3)),
    "GELU, tanh": (lambda nn: nn.GELU("tanh"), normal()),
    "Softmax": (lambda nn: nn.Softmax(dim=1), normal(2, 3)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(dim=0), normal(2, 3, 2)),
}  # fmt: skip


def made(torch, make):
    """A layer in float64 that starts from seed 0."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        return make(torch.nn)
    finally:
        torch.set_default_dtype(torch.float32)


def leaf(torch, array):
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def results(torch, make, array):
    """Output and gradients by input and parameters, weighted unevenly; then the state it is left in, and its text."""
    layer = made(torch, make)
    x = leaf(torch, array)
    y = layer(x)
    weights = np.cos(np.arange(y.numel())).reshape(tuple(y.shape))
    (y * torch.tensor(weights)).sum().backward()
    grads = [t.grad for t in (x, *layer.parameters())]
    arrays = [t.detach().numpy() for t in (y, *grads, *layer.state_dict().values())]
    return arrays, (list(layer.state_dict()), repr(layer), y.grad_fn and y.grad_fn.name())


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch says that it copies
@pytest.mark.parametrize("name", LAYERS)
def test_layer_as_in_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs = (results(t, *LAYERS[name]) for t in (ol, torch))
    assert ours[1] == theirs[1]
    for a, b in zip(ours[0], theirs[0], strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)  # sums of up to 120 products in another order


@pytest.mark.parametrize("name", [name for name, (_, x) in LAYERS.items() if x.size])
def test_layer_derivatives(name):
    make, array = LAYERS[name]
    layer = made(ol, make)
    parameters = list(layer.parameters())
    names = [key for key, _ in layer.named_parameters()]

    def run(x, *values):
        for name, value in zip(names, values, strict=True):
            layer._parameters[name] = value
        return layer(x)

    inputs = (leaf(ol, array), *[p.detach().requires_grad_() for p in parameters])
    assert gradcheck(run, inputs, atol=1e-7)
    assert gradgradcheck(run, inputs, atol=1e-7)
    turned = leaf(ol, np.ascontiguousarray(array.T)).T if array.ndim > 1 else leaf(ol, np.repeat(array, 2))[::2]
    np.testing.assert_allclose(run(turned, *inputs[1:]).detach().numpy(), run(*inputs).detach().numpy(), rtol=1e-12)
