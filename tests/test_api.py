"""The functions of tensors give what torch gives: values, dtypes, printed text; for bad input its kind of error."""

import json
import sys
import warnings

import numpy as np
import pytest

import api
import optimlab as ol


def test_expressions_print_what_torch_printed():
    recorded = json.loads(api.RECORDED.read_text(encoding="utf-8"))
    ours = {text: repr(value) for text, value in api.evaluate(ol).items()}
    assert ours == recorded


def test_expressions_give_what_the_installed_torch_gives():
    torch = pytest.importorskip("torch", reason="torch is not installed; what it printed is recorded")
    ours, theirs = api.evaluate(ol), api.evaluate(torch)

    def compare(text, a, b):
        if isinstance(b, torch.Tensor):
            assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape), text
            # the last bits of functions and sums differ: a few float32 ulp
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-6, 1e-7, err_msg=text)
        elif isinstance(b, (tuple, list)) and not isinstance(b, torch.Size):
            assert len(a) == len(b), text
            for x, y in zip(a, b, strict=True):
                compare(text, x, y)

    for text, theirs_value in theirs.items():
        compare(text, ours[text], theirs_value)


IN_PLACE = """
x.add_(1)
x.add_(y, alpha=2)
x.sub_(y, alpha=0.5)
x.mul_(y)
x.div_(2)
x.pow_(2)
x.addcmul_(y, y, value=0.5)
x.addcdiv_(y, p, value=-2)
x.lerp_(y, 0.25)
x.clamp_(-1, 1)
x.clamp_(min=0.1)
x.neg_()
x.abs_()
p.sqrt_()
p.rsqrt_()
x.exp_()
p.log_()
x.sign_()
x.sigmoid_()
x.tanh_()
x.relu_()
x.floor_()
x.round_()
x.square_()
x.reciprocal_()
x.zero_()
x.fill_(3)
x.copy_(v)
x.masked_fill_(x > 0, -1)
x.multiply_(2)
x.__iadd__(y)
x.__imul__(2)
i.add_(1)
i.mul_(i)
i.__ifloordiv__(2)
b.logical_not_()
x.normal_()
x.uniform_(-1, 1)
x.bernoulli_(0.5)
x.exponential_(2.0)
x.unsqueeze_(1)
x.squeeze_()
x.t_()
x.transpose_(0, 1)
x.swapaxes_(0, 1)
"""


def changed(torch, text):
    """What an in-place expression makes of all names, and which tensor it returns."""
    torch.manual_seed(0)
    found = api.names(torch)
    owner = text.partition(".")[0]
    result = eval(text, found)
    assert result is found[owner]
    return {name: repr(value) for name, value in found.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("text", IN_PLACE.strip().splitlines())
def test_in_place_methods(text):
    ours = changed(ol, text)
    untouched = {name: repr(value) for name, value in api.names(ol).items() if isinstance(value, ol.Tensor)}
    owner = text.partition(".")[0]
    assert {k: v for k, v in ours.items() if k != owner} == {k: v for k, v in untouched.items() if k != owner}
    torch = pytest.importorskip("torch", reason="torch is not installed; the other tensors are checked alone")
    assert ours == changed(torch, text)


REFUSED = [  # expression, kind of error, words of the message; torch raises that kind too
    ("x + torch.ones(4)", RuntimeError, ("size of tensor a", "(2, 3)", "(4,)")),
    ("x @ y", RuntimeError, ("mat1 and mat2 shapes cannot be multiplied", "(2, 3)")),
    ("x @ x.double().t()", RuntimeError, ("same dtype", "float64")),
    ("x[5]", IndexError, ("5", "(2, 3)")),
    ("x[0, 0, 0]", IndexError, ("(2, 3)",)),
    ("x[0.5]", IndexError, ()),
    ("x[::-1]", ValueError, ("step", "flip")),
    ("x.reshape(4)", RuntimeError, ("invalid for input of size 6",)),
    ("x.t().view(6)", RuntimeError, ("view size is not compatible", "reshape")),
    ("x.expand(4, 3)", RuntimeError, ("expanded",)),
    ("x.sum(5)", IndexError, ("dim=5",)),
    ("x.permute(0, 0)", RuntimeError, ("once",)),
    ("i.mean()", RuntimeError, ("float",)),
    ("torch.cat([x, torch.ones(1, 2)])", RuntimeError, ("Sizes of tensors must match", "[1, 2]")),
    ("torch.cat([])", (RuntimeError, ValueError), ("non-empty",)),
    ("torch.stack([x, v])", RuntimeError, ("equal size",)),
    ("bool(x)", RuntimeError, ("ambiguous",)),
    ("x.item()", RuntimeError, ("6 elements",)),
    ("int(torch.tensor([1, 2]))", (RuntimeError, TypeError), ()),
    ("len(torch.tensor(1))", TypeError, ("0-d",)),
    ("iter(torch.tensor(1))", TypeError, ("0-d",)),
    ("torch.tensor([1], requires_grad=True)", RuntimeError, ("floating point",)),
    ("torch.tensor([[1, 2], [3]])", ValueError, ()),
    ("torch.tensor('a')", TypeError, ()),
    ("w.numpy()", RuntimeError, ("detach().numpy()",)),
    ("w.add_(1)", RuntimeError, ("leaf Variable", "no_grad")),
    ("w[0].add_(1)", RuntimeError, ("view of a leaf Variable",)),
    ("w.__setitem__(0, 1)", RuntimeError, ("leaf Variable",)),
    ("i.add_(0.5)", RuntimeError, ("can't be cast", "int64")),
    ("v.add_(x)", RuntimeError, ("doesn't match the broadcast shape",)),
    ("v.expand(2, 3).add_(1)", RuntimeError, ("clone",)),
    ("x.split(0)", RuntimeError, ("positive",)),
    ("x.split([1, 1], 1)", RuntimeError, ("sum exactly to 3",)),
    ("x.gather(1, torch.tensor([[3], [0]]))", RuntimeError, ("out of bounds", "size 3")),
    ("x.topk(4)", RuntimeError, ("out of range",)),
    ("torch.einsum('ij,jk', x, y)", RuntimeError, ()),
    ("x.clamp()", (RuntimeError, ValueError), ("min", "max")),
    ("torch.arange(0, 5, -1)", RuntimeError, ("step sign",)),
    ("torch.zeros(-1)", RuntimeError, ("-1",)),
    ("torch.randint(5, 5, (1,))", RuntimeError, ("from=5",)),
    ("torch.zeros_like(x, dtyp=torch.int64)", TypeError, ("unexpected keyword argument 'dtyp'",)),
    ("torch.full_like(x, 1, device='cuda')", (AssertionError, RuntimeError), ("CUDA",)),
    ("i.norm()", RuntimeError, ("floating point",)),
    ("torch.tensor(1.0).cumsum(1)", IndexError, ("out of range",)),
    ("torch.tensor(1.0).softmax(1)", IndexError, ("out of range",)),
    ("i // 0", RuntimeError, ("ZeroDivisionError",)),
    ("i % torch.tensor([1, 0, 1, 1])", RuntimeError, ("ZeroDivisionError",)),
    ("i.fmod(0)", RuntimeError, ("ZeroDivisionError",)),
    ("x.masked_fill(x, 0)", RuntimeError, ("bool",)),
    ("torch.where(x, x, y)", RuntimeError, ("expected condition to be a boolean tensor",)),
    ("torch.einsum('ij->k', x)", RuntimeError, ("output subscript k",)),
    ("torch.nn.functional.cross_entropy(x.sum(), i[0])", RuntimeError, ()),
    ("torch.nn.functional.binary_cross_entropy_with_logits(x[0], i[:3])", (RuntimeError, TypeError), ()),
    ("x.normal_(0, -1)", RuntimeError, ("std",)),
    ("x.bernoulli_(1.5)", RuntimeError, ("[0, 1]", "1.5")),
    ("torch.finfo(torch.int64)", TypeError, ("floating point",)),
    ("torch.set_default_dtype(torch.int64)", TypeError, ("floating-point",)),
    ("torch.device('nowhere')", RuntimeError, ("device", "nowhere")),
    ("x.cuda()", (AssertionError, RuntimeError), ("CUDA",)),
    ("x.to('cuda')", (AssertionError, RuntimeError), ("CUDA",)),
    ("torch.abs(3)", TypeError, ("Tensor", "int")),
    ("w.detach().register_hook(print)", RuntimeError, ("requires_grad", "gradient")),
    ("x.retain_grad()", RuntimeError, ("requires_grad",)),
    ("x.backward()", RuntimeError, ("does not require grad",)),
    ("(w * 2).backward()", RuntimeError, ("scalar outputs", "(2, 3)")),
    ("(w * 2).backward(torch.ones(3))", RuntimeError, ("Mismatch in shape",)),
    ("w.t().requires_grad_(False)", RuntimeError, ("leaf",)),
    ("setattr(w, 'grad', torch.ones(1))", RuntimeError, ("assigned grad", "(2, 3)")),
    ("setattr(w, 'grad', 1)", TypeError, ("grad",)),
    ("w.t_()", RuntimeError, ("leaf Variable",)),
    ("torch.multinomial(v, 1)", RuntimeError, ("element < 0",)),
    ("torch.multinomial(p[0], 4)", RuntimeError, ("without replacement", "4 > 3")),
    ("torch.multinomial(p[0], 0)", RuntimeError, ("n_sample <= 0",)),
    ("torch.multinomial(0 * p, 1)", RuntimeError, ("sum of probabilities <= 0",)),
    ("i.multinomial(1)", RuntimeError, ("multinomial", "float")),
    ("p.exponential_(0)", RuntimeError, ("lambda",)),
    ("torch.manual_seed(2**64)", (ValueError, RuntimeError, OverflowError), ("seed",)),
    ("torch.Generator().set_state(torch.zeros(3, dtype=torch.uint8))", RuntimeError, ("size",)),
]


@pytest.mark.parametrize(("text", "kind", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_bad_input(text, kind, words):
    found = api.names(ol)
    before = {name: repr(value) for name, value in found.items() if isinstance(value, ol.Tensor)}
    with warnings.catch_warnings(), pytest.raises(kind) as error:
        warnings.simplefilter("ignore")
        eval(text, found)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert before == {name: repr(value) for name, value in found.items() if isinstance(value, ol.Tensor)}
    torch = sys.modules.get("torch") or pytest.importorskip("torch", reason="torch is not installed")
    if text != "torch.manual_seed(2**64)":
        with warnings.catch_warnings(), pytest.raises(Exception) as theirs:
            warnings.simplefilter("ignore")
            eval(text, api.names(torch))
        kinds = (kind if isinstance(kind, tuple) else (kind,)) + (type(theirs.value),)
        assert isinstance(error.value, kinds)
