"""Expressions that must give with optimlab what they give with torch; ``torch`` is the module, and these names are at hand.

`python tests/api.py` records what the installed torch prints for them.
"""

import json
import math
import warnings
from pathlib import Path

RECORDED = Path(__file__).parent / "goldens" / "api.json"

EXPRESSIONS = """
torch.tensor([1, 2.5])
torch.tensor([[True], [False]])
torch.tensor(3)
torch.tensor([1, 2], dtype=torch.float64)
torch.tensor([1.5, 2.5]).to(torch.int64)
torch.Tensor([1, 2])
torch.Tensor(2, 3).shape
torch.Tensor().shape
torch.FloatTensor([1, 2])
torch.LongTensor([1.7, 2])
torch.as_tensor([1, 2])
torch.zeros(2, 3)
torch.zeros((2,), dtype=torch.bool)
torch.ones(2, dtype=torch.int32)
torch.empty(2, 0)
torch.full((2, 2), 7)
torch.full((2,), 1.5, dtype=torch.float64)
torch.full((2,), True)
torch.eye(2)
torch.eye(2, 3, dtype=torch.int64)
torch.zeros_like(i)
torch.ones_like(x, dtype=torch.int64)
torch.full_like(x, 2)
torch.arange(5)
torch.arange(1, 6, 2)
torch.arange(0, 1, 0.3)
torch.arange(0.5, 3)
torch.arange(5, 0, -2)
torch.arange(start=1, end=3)
torch.arange(end=3)
torch.arange(3, dtype=torch.float32)
torch.linspace(0, 1, 5)
torch.linspace(-2, 3, 7, dtype=torch.float64)
torch.linspace(3, 3, 1)
torch.logspace(0, 2, 3)
x.size()
x.size(0)
x.size(-1)
x.dim()
x.numel()
x.shape[1:]
x.dtype
i.dtype
x.is_floating_point()
x.stride()
x.t().stride()
x.is_contiguous()
x.t().contiguous().is_contiguous()
x.t().contiguous().stride()
x.shape + (4,)
x.t().is_contiguous()
x.device
x.type()
x.tolist()
x[0, 0].item()
x + 1
x + i[:3]
1 - x
x * 2.5
x / 2
i / 2
i // 2
i % 3
-i // 2
(-i) % 3
x // 1
i ** 2
x ** 2
2 ** x
x ** i[:3]
i + 1.5
b + 1
b + b
b * x
b & ~b
b | b.flip(0)
b ^ b
i & 1
i8 + i
i8 * 2
u + 1
u + i8
d + x
x * torch.tensor(2.0, dtype=torch.float64)
i + torch.tensor(2.5, dtype=torch.float64)
i * torch.tensor(True)
x.add(y, alpha=2)
x.sub(y, alpha=0.5)
torch.add(x, 1)
torch.mul(x, y)
torch.div(i, 2, rounding_mode='floor')
torch.div(x, 0.3, rounding_mode='trunc')
torch.div(-i, 2, rounding_mode='trunc')
torch.true_divide(i, 2)
torch.floor_divide(i, 2)
torch.remainder(x, 0.7)
torch.fmod(x, 0.7)
torch.pow(2, x)
torch.pow(x, 3)
x > 0
x >= y
i == 2
i != i8
x.eq(x)
torch.lt(x, 0.5)
torch.equal(x, x)
torch.allclose(x, x + 1e-9)
torch.isclose(x, x + 1)
torch.abs(x)
x.neg()
x.sign()
x.sqrt()
p.rsqrt()
p.reciprocal()
x.exp()
p.log()
p.log2()
p.log10()
p.log1p()
x.expm1()
x.sin()
x.cos()
x.tan()
(x / 3).asin()
(x / 3).acos()
x.atan()
torch.atan2(x, y)
x.sinh()
x.cosh()
x.tanh()
x.sigmoid()
x.relu()
x.floor()
x.ceil()
x.round()
x.trunc()
torch.round(x, decimals=1)
x.square()
i.sqrt()
i.exp()
torch.tensor([0., -1.]).log()
torch.tensor([1., 0.]) / 0
x.clamp(-0.5, 0.5)
x.clamp(min=0)
x.clamp(max=torch.zeros(3))
i.clamp(1, 3)
torch.clamp(x, max=0.1)
x.lerp(y, 0.3)
x.lerp(y, 0.7)
torch.lerp(x, y, torch.full_like(x, 0.5))
x.addcmul(y, y, value=0.5)
x.addcdiv(y, p, value=2)
torch.where(x > 0, x, y)
torch.where(x > 0, x, 0)
torch.where(x > 0, 1.0, 0.0)
torch.where(x > 0, 1, 0)
torch.where(i > 1, i, 0.5)
torch.where(x > 0)
x.masked_fill(x > 0, 9)
torch.maximum(x, y)
torch.minimum(x, torch.tensor(0.0))
torch.isnan(torch.tensor([1., math.nan]))
torch.isfinite(torch.tensor([1., math.inf]))
torch.isinf(torch.tensor([1., math.inf]))
torch.logical_and(b, b.flip(0))
torch.logical_not(i)
x.sum()
x.sum(0)
x.sum(dim=(0, 1))
x.sum(-1, keepdim=True)
x.sum(axis=1, keepdims=True)
i.sum()
b.sum()
u.sum().dtype
x.mean()
x.mean(1)
x.var()
x.var(0)
x.var(0, unbiased=False)
x.std()
x.std(dim=1, keepdim=True)
x.std(correction=0)
x.norm()
x.norm(dim=0)
x.norm(1)
x.norm(p=3, dim=1)
x.norm(math.inf)
torch.norm(x, p=2)
x.prod()
x.prod(1)
i.prod()
x.cumsum(1)
i.cumsum(0)
x.logsumexp(1)
torch.softmax(x, dim=1)
x.softmax(0)
x.log_softmax(-1)
x.max()
x.max(1)
x.min(0)
x.max(1, keepdim=True).indices.shape
torch.max(x, y)
x.amax(1)
x.amin()
x.argmax()
x.argmax(1)
x.argmin(0, keepdim=True)
torch.argmax(x, dim=-1)
x.all()
b.any()
b.all(0)
(x > 9).any(1)
i.sort(descending=True)
x.sort(1)
x.argsort(0)
x.topk(2, dim=1)
torch.topk(x[0], 2, largest=False)
x.median()
x.median(1)
torch.tensor([3, 1, 3]).unique()
torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
torch.bincount(torch.tensor([0, 2, 2]))
x.count_nonzero()
x @ y.t()
x.matmul(v)
torch.mm(x, y.T)
x.mv(v)
v.dot(v)
torch.outer(v, v)
torch.bmm(x.expand(2, 2, 3), y.t().expand(2, 3, 2))
torch.addmm(x, torch.eye(2), y)
torch.einsum('ij,kj->ik', x, y)
torch.einsum('ij->j', x)
torch.einsum('ij,ij', x, y)
torch.einsum('ii->i', torch.arange(9.).reshape(3, 3))
torch.einsum('...j,j->...', x, v)
torch.einsum('ij,jk,kl->il', x, y.t(), x)
x.T
x.mT
x.t()
x.transpose(0, 1)
x.permute(1, 0).shape
x.reshape(3, 2)
x.reshape(-1)
x.view(6)
x.view(-1, 2).shape
x.flatten()
torch.arange(24).reshape(2, 3, 4).flatten(1).shape
x.unflatten(1, (3, 1)).shape
x.unsqueeze(0).shape
x.unsqueeze(-1).shape
x[None].squeeze().shape
x[None].squeeze(1).shape
x.expand(2, 2, 3).shape
v.expand(2, -1)
x.repeat(2, 1)
x.tile(2).shape
torch.cat([x, y])
torch.cat((x, y), dim=1)
torch.cat([i, i8])
torch.stack([v, v])
torch.stack([v, v], dim=-1)
torch.hstack([v, v])
torch.vstack([v, v])
x.split(1)
x.split([1, 2], dim=1)
x.chunk(2, 1)
torch.unbind(x)
x[0]
x[-1, 1]
x[:, 1]
x[..., 0]
x[None, 0].shape
x[x > 0]
x[[0, 1, 0]]
x[torch.tensor([1, 0])]
x[:, torch.tensor([True, False, True])]
x[torch.tensor(1)]
x[0:1, ::2]
x.gather(1, torch.tensor([[0, 2], [1, 1]]))
torch.zeros(2, 3).scatter_(1, torch.tensor([[2], [0]]), 1)
torch.zeros(3).scatter_add_(0, torch.tensor([0, 0, 2]), v)
torch.zeros(2, 3).index_add_(0, torch.tensor([1, 1]), x)
x.index_select(1, torch.tensor([2, 0]))
x.masked_select(x > 0)
x.narrow(1, 1, 2)
x.select(1, 0)
torch.nonzero(x > 0)
x.flip(1)
v.roll(1)
x.roll(1, 1)
torch.arange(9.).reshape(3, 3).tril()
torch.arange(9.).reshape(3, 3).triu(1)
torch.arange(9.).reshape(3, 3).diagonal()
torch.diag(v)
torch.arange(9.).reshape(3, 3).trace()
torch.meshgrid(torch.arange(2), torch.arange(3), indexing='ij')
torch.meshgrid(torch.arange(2), torch.arange(3), indexing='xy')
torch.broadcast_tensors(x, v)[1].shape
x.double()
x.int()
x.long()
x.bool()
i.float()
x.half()
x.to(i.dtype)
x.to('cpu').dtype
x.to(torch.float64).dtype
x.new_zeros(2)
d.new_ones((2, 1), requires_grad=True)
i.new_full((2,), 1.5)
x.new_empty(2, 0, device='cpu', dtype=torch.int64)
d.new(2, 3).shape
d.new([1, 2])
i.new([1.5])
x.new()
torch.typename(d)
torch.typename(1)
w.clone().t_().tolist()
w.clone().unsqueeze_(0).requires_grad
w.clone()[:1].squeeze_().tolist()
x.clone()[0].unsqueeze_(1)
d.new_tensor([1, 2])
x.type_as(i)
torch.finfo(torch.float32).eps
torch.finfo(torch.float64).max
torch.iinfo(torch.int32).max
torch.promote_types(torch.int32, torch.float32)
torch.result_type(i, 2.0)
torch.get_default_dtype()
torch.is_tensor(x)
torch.numel(x)
torch.device('cpu')
str(torch.device('cpu'))
torch.Size([2, 3]).numel()
torch.pi
[r.sum().item() for r in torch.arange(4).reshape(2, 2)]
len(x)
float(x[0, 0])
int(i[1])
bool(i[1] > 0)
2.0 in torch.tensor([1., 2.])
(x * w).sum()
w.exp().grad_fn.name()
(w @ w.t()).grad_fn.name()
w.sum(0).grad_fn.name()
w.mean().grad_fn.name()
w.t().grad_fn.name()
(w + 1).grad_fn.name()
(w - 1).grad_fn.name()
(w / 2).grad_fn.name()
(w ** 2).grad_fn.name()
w.relu().grad_fn.name()
w.tanh().grad_fn.name()
w.sigmoid().grad_fn.name()
w.max().grad_fn.name()
w.max(1).values.grad_fn.name()
w.abs().grad_fn.name()
w.sqrt().grad_fn.name()
w.log().grad_fn.name()
w.clamp(0).grad_fn.name()
w.view(-1).grad_fn.name()
w.reshape(-1).grad_fn.name()
w.unsqueeze(0).grad_fn.name()
w.squeeze().grad_fn.name()
w.expand(2, 2, 3).grad_fn.name()
w[0].grad_fn.name()
w[:, 0].grad_fn.name()
w[0:1].grad_fn.name()
w[[0]].grad_fn.name()
w.clone().grad_fn.name()
(-w).grad_fn.name()
torch.cat([w, w]).grad_fn.name()
torch.stack([w, w]).grad_fn.name()
torch.where(w > 0, w, 0).grad_fn.name()
w.softmax(1).grad_fn.name()
w.log_softmax(1).grad_fn.name()
w.norm().grad_fn.name()
w.std().grad_fn.name()
w.prod().grad_fn.name()
w.cumsum(0).grad_fn.name()
w.double().grad_fn.name()
w.permute(1, 0).grad_fn.name()
w.transpose(0, 1).grad_fn.name()
(w @ v).grad_fn.name()
v.mul(w).grad_fn.name()
torch.dot(w[0], v).grad_fn.name()
torch.maximum(w, x).grad_fn.name()
w.lerp(x, 0.5).grad_fn.name()
w.addcmul(x, x).grad_fn.name()
w.gather(1, torch.zeros(2, 1, dtype=torch.int64)).grad_fn.name()
w.sin().grad_fn.name()
(w ** w).grad_fn.name()
(2 ** w).grad_fn.name()
w.T.grad_fn.name()
w.mT.grad_fn.name()
w.squeeze(0).grad_fn.name()
w.chunk(2)[0].grad_fn.name()
w.unbind()[0].grad_fn.name()
w.min(0)[0].grad_fn.name()
w.min().grad_fn.name()
w.amax().grad_fn.name()
w.var().grad_fn.name()
w.prod(0).grad_fn.name()
w.logsumexp(0).grad_fn.name()
w.sort().values.grad_fn.name()
w.topk(1).values.grad_fn.name()
w.addcdiv(x, x).grad_fn.name()
w.log1p().grad_fn.name()
w.expm1().grad_fn.name()
w.rsqrt().grad_fn.name()
w.square().grad_fn.name()
w.flip(0).grad_fn.name()
w[:, 0:1].grad_fn.name()
w[None].grad_fn.name()
w[w > 0].grad_fn.name()
w.flatten().grad_fn.name()
w.masked_fill(x > 0, 0).grad_fn.name()
w.norm(1).grad_fn.name()
w.norm(3, dim=0).grad_fn.name()
w.norm(math.inf).grad_fn.name()
w.dist(x).grad_fn.name()
w.cumprod(0).grad_fn.name()
torch.cdist(w, w).grad_fn.name()
w.pow(2).sum().sqrt()
x.cumprod(1)
i.cumprod(0)
torch.cumprod(torch.tensor(2.0), 0)
torch.diff(x)
i.diff(n=2)
x.diff(dim=0)
torch.dist(x, y)
x.dist(y, 1)
torch.cdist(x, y)
torch.cdist(x, y[:1], p=1)
torch.cdist(x.expand(2, 2, 3), y)
torch.eye(2, out=torch.zeros(2, 2))
torch.nn.functional.normalize(x)
torch.nn.functional.normalize(x, p=1, dim=0)
torch.nn.functional.cosine_similarity(x, y)
torch.zeros(0, 3).logsumexp(0)
i.logsumexp(0)
(x > 0).tril()
(x > 0).triu(1)
(x > 0).masked_fill(x > 1, 0)
torch.tensor(2.0).flip(0)
torch.tensor(2.0).median(0).values
torch.tensor([]).median()
torch.tensor([1.0, math.nan]).median()
torch.tensor([1.0, math.nan, 0.0, math.nan]).median(0).indices
w.median()
w.median(1).values
torch.nn.functional.mse_loss(w[0], i[:3])
torch.nn.functional.l1_loss(w[0], i[:3])
torch.tensor([3.0, -3.0]) // 0
"""


def names(torch):
    """The tensors that expressions speak of."""
    x = torch.tensor([[0.5, -1.25, 2.0], [-0.75, 1.5, 0.25]])
    return {
        "torch": torch,
        "math": math,
        "x": x,
        "y": torch.tensor([[1.0, 0.5, -2.0], [0.75, -1.0, 3.0]]),
        "p": torch.tensor([[0.5, 1.5, 2.0], [3.0, 0.25, 1.0]]),
        "v": torch.tensor([1.0, -2.0, 0.5]),
        "i": torch.tensor([0, 1, 2, 3]),
        "i8": torch.tensor([1, 2, 3, 4], dtype=torch.int8),
        "u": torch.tensor([1, 2, 255, 4], dtype=torch.uint8),
        "b": torch.tensor([True, False, True]),
        "d": torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64),
        "w": torch.tensor([[0.5, -1.25, 2.0], [-0.75, 1.5, 0.25]], requires_grad=True),
    }


def evaluate(torch):
    """Each expression with what it gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {text: eval(text, names(torch)) for text in EXPRESSIONS.strip().splitlines()}


if __name__ == "__main__":
    import torch

    printed = {text: repr(value) for text, value in evaluate(torch).items()}
    RECORDED.write_text(json.dumps(printed, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(printed)} expressions recorded from torch {torch.__version__}")
