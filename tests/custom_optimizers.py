"""Optimizers of a reader's own around torch's classes, and what is trained with them; written for torch.

Each is written from its paper's formulas, in one of the styles in which people extend torch.optim.
"""


def layerwise_and_signed():
    """LAMB by way of ``.data`` (You et al., ICLR 2020), Lion on lists of tensors (Chen et al., NeurIPS 2023)."""
    import torch
    from torch import nn
    from torch.optim.optimizer import Optimizer

    class Layerwise(Optimizer):
        """Adam's direction, as long as the layer's weights."""

        def __init__(self, params, lr, decay=0.0):
            super().__init__(params, {"lr": lr, "decay": decay})

        def step(self, closure=None):
            loss = closure() if closure is not None else None
            for group in self.param_groups:
                for w in filter(lambda p: p.grad is not None, group["params"]):
                    s = self.state[w]
                    if not s:
                        s.update(t=0, m=torch.zeros_like(w.data), v=torch.zeros_like(w.data))
                    s["t"] += 1
                    s["m"].mul_(0.9).add_(w.grad.data, alpha=0.1)
                    s["v"].mul_(0.999).addcmul_(w.grad.data, w.grad.data, value=0.001)
                    direction = s["m"].div(1 - 0.9 ** s["t"]) / s["v"].div(1 - 0.999 ** s["t"]).sqrt().add(1e-6)
                    direction.add_(w.data, alpha=group["decay"])
                    length, wanted = direction.pow(2).sum().sqrt(), w.data.norm().clamp(0, 5)
                    s["ratio"] = wanted / length if wanted > 0 and length > 0 else 1.0
                    w.data.sub_(direction * s["ratio"], alpha=group["lr"])
            return loss

    class Signed(Optimizer):
        """Steps of one length along the sign of a mean."""

        def __init__(self, params, lr, decay=0.0):
            super().__init__(params, {"lr": lr, "decay": decay})

        @torch.no_grad()
        def step(self, closure=None):
            with torch.enable_grad():
                loss = closure() if closure else None
            for group in self.param_groups:
                ws = [w for w in group["params"] if w.grad is not None]
                for w in ws:
                    self.state[w].setdefault("m", torch.zeros_like(w, memory_format=torch.preserve_format))
                ms, gs = [self.state[w]["m"] for w in ws], [w.grad for w in ws]
                signs = torch._foreach_mul(ms, 0.9)
                torch._foreach_add_(signs, gs, alpha=0.1)
                torch._foreach_sign_(signs)
                torch._foreach_mul_(ws, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(ws, signs, alpha=-group["lr"])
                torch._foreach_lerp_(ms, gs, 0.01)
            return loss

    torch.manual_seed(0)
    x, y = torch.randn(32, 5), torch.randn(32, 1)
    for kind, options in ((Layerwise, {"lr": 0.02, "decay": 0.01}), (Signed, {"lr": 0.01, "decay": 0.1})):
        model = nn.Sequential(nn.Linear(5, 8), nn.SiLU(), nn.Linear(8, 1))
        optimizer = kind(model.parameters(), **options)

        def closure(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        print(*[f"{optimizer.step(closure).item():.4f}" for _ in range(6)], optimizer)
        print([f"{float(s['ratio']):.3f}" for s in optimizer.state.values() if "ratio" in s])
        again = kind(model.parameters(), lr=1.0)
        again.load_state_dict(optimizer.state_dict())
        print(again.state_dict()["param_groups"], f"{optimizer.step(closure).item():.4f}")


def uphill_first():
    """SAM around any optimizer (Foret et al., ICLR 2021), batch norm told to look away; a schedule that leads into another."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.optim.lr_scheduler import CosineAnnealingLR, _LRScheduler

    class UphillFirst(torch.optim.Optimizer):
        """Steps with the gradient of a point ``rho`` uphill; shares its groups with the optimizer inside."""

        def __init__(self, params, inner, rho, **options):
            super().__init__(params, {"rho": rho} | options)
            self.inner = inner(self.param_groups, **options)
            self.param_groups = self.inner.param_groups

        @torch.no_grad()
        def step(self, closure):
            loss = torch.enable_grad()(closure)()
            ps = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            length = torch.stack([p.grad.norm(p=2).to(ps[0].device) for p in ps]).norm(p=2)
            there = [p.detach().clone() for p in ps]
            for p in ps:
                p.add_(p.grad * (self.param_groups[0]["rho"] / length).to(p))
            self.zero_grad()
            with torch.enable_grad():
                closure()
            for p, at in zip(ps, there, strict=True):
                p.data = at
            self.inner.step()
            return loss

    class Leading(_LRScheduler):
        """Rises in equal parts, then another schedule has the say."""

        def __init__(self, optimizer, parts, then):
            self.parts, self.then = parts, then
            super().__init__(optimizer)

        def get_lr(self):
            return [base * min(1.0, self.last_epoch / self.parts) for base in self.base_lrs]

        def step(self, epoch=None):
            if self.last_epoch < self.parts:
                super().step()
            else:
                self.then.step()
                self._last_lr = self.then.get_last_lr()

    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3))
    x, y = torch.randn(40, 6), torch.randint(3, (40,))
    calls = []

    def closure():
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = 0.0 if len(calls) % 2 else 0.1
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        calls.append(loss.item())
        return loss

    optimizer = UphillFirst(model.parameters(), torch.optim.SGD, rho=0.1, lr=0.1, momentum=0.9)
    cosine = CosineAnnealingLR(optimizer.inner, 4)
    scheduler = Leading(optimizer.inner, 2, cosine)
    for _ in range(6):
        optimizer.zero_grad()
        print(f"{optimizer.step(closure).item():.4f} {optimizer.param_groups[0]['lr']:.5f}", end=" ")
        scheduler.step()
    print(len(calls), f"{calls[-1]:.4f}", model[1].running_mean[:3], model[1].num_batches_tracked)
    optimizer.load_state_dict(optimizer.state_dict())
    print(optimizer)


def powers_of_matrices():
    """Shampoo (Gupta et al., ICML 2018): tensors made by others, turned in place; float64, for its roots of matrices."""
    import torch

    def power(a, exponent):
        u, s, vh = torch.linalg.svd(a)
        return u @ s.pow_(exponent).diag() @ vh

    class Preconditioned(torch.optim.Optimizer):
        def __init__(self, params, lr=0.1, eps=1e-4):
            super().__init__(params, {"lr": lr, "eps": eps})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    known = self.state[p]
                    g = p.grad.clone()
                    for axis in range(g.ndimension()):
                        n = g.size(axis)
                        if axis not in known:
                            known[axis] = torch.eye(n, out=g.new(n, n)).mul_(group["eps"])
                        turned = g.transpose_(0, axis).contiguous()
                        flat = turned.view(n, -1)
                        known[axis].addmm_(flat, flat.t())
                        root = power(known[axis], -1 / (2 * g.ndimension()))
                        g = (root @ flat).view(turned.size()).transpose_(0, axis)
                    p.sub_(g, alpha=group["lr"])

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(8)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    optimizer = Preconditioned(net.parameters(), lr=0.05)
    x = torch.randn(16, 4)
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.huber_loss(net(x), x[:, :2] - x[:, 2:])
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.6f}")


def two_sequences_and_hooks():
    """Schedule-free SGD (Defazio et al., NeurIPS 2024); steps taken within backward; a network watched by hooks."""
    import torch

    class TwoSequences(torch.optim.Optimizer):
        """Gradients are taken between z, which steps, and x, the mean of its path."""

        def __init__(self, params, lr, beta=0.9, rise=1):
            super().__init__(params, {"lr": lr, "beta": beta, "rise": rise, "t": 0, "mass": 0.0})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                group["t"] += 1
                lr = group["lr"] * min(1.0, group["t"] / group["rise"])
                group["mass"] += lr**2
                share = lr**2 / group["mass"]
                ys = [p for p in group["params"] if p.grad is not None]
                for y in ys:
                    if "z" not in self.state[y]:
                        self.state[y]["z"] = torch.clone(y, memory_format=torch.preserve_format)
                gs, zs = [y.grad for y in ys], [self.state[y]["z"] for y in ys]
                torch._foreach_lerp_(ys, zs, weight=share)
                torch._foreach_add_(ys, gs, alpha=lr * (group["beta"] * (1 - share) - 1))
                torch._foreach_sub_(zs, gs, alpha=lr)

        @torch.no_grad()
        def to_mean(self):
            for group in self.param_groups:
                for y in group["params"]:
                    y.lerp_(end=self.state[y]["z"], weight=1 - 1 / group["beta"])

    w = torch.nn.Parameter(torch.tensor([2.0, -3.0]))
    optimizer = TwoSequences([w], lr=0.3, rise=3)
    for _ in range(6):
        loss = ((w - 1) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.5f}", end=" ")
    optimizer.to_mean()
    print(w.data, optimizer.param_groups[0]["t"])

    torch.manual_seed(5)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    own = {p: torch.optim.Adam([p], foreach=False, lr=0.01) for p in model.parameters()}

    def at_once(p):
        own[p].step()
        own[p].zero_grad()

    for p in own:
        p.register_post_accumulate_grad_hook(at_once)
    x = torch.rand(5, 3)
    for _ in range(3):
        loss = model(x).sum()
        loss.backward()
        print(f"{loss.item():.5f}", [p.grad for p in model.parameters()])
    shapes, norms, handles = {}, {}, []
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            handles += [
                layer.register_forward_hook(lambda m, i, o, name=name: shapes.update({name: tuple(o.shape)})),
                layer.register_full_backward_hook(lambda m, i, o, name=name: norms.update({name: o[0].norm().item()})),
            ]
    model(x.requires_grad_()).mean().backward()
    for handle in handles:
        handle.remove()
    print(shapes, {name: f"{norm:.5f}" for name, norm in norms.items()})


def attention_and_sampling():
    """Next numbers learnt by attention, with tied weights, a rate that rises and falls, groups without decay; it then writes."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.optim.lr_scheduler import LambdaLR

    class Reader(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads, self.norm = heads, nn.LayerNorm(width)
            self.maps = nn.ModuleDict({name: nn.Linear(width, width) for name in ("ask", "key", "value", "out")})
            self.after = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )

        def forward(self, h):
            n, length, width = h.shape
            split = [
                self.maps[name](self.norm(h)).view(n, length, self.heads, -1).transpose(1, 2)
                for name in ("ask", "key", "value")
            ]
            fit = split[0] @ split[1].transpose(-2, -1) * (width // self.heads) ** -0.5
            later = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)
            seen = fit.masked_fill(later, float("-inf")).softmax(dim=-1) @ split[2]
            h = h + self.maps["out"](seen.transpose(1, 2).reshape(n, length, width))
            return h + self.after(h)

    class Writer(nn.Module):
        def __init__(self, words, width=16):
            super().__init__()
            self.words = nn.Embedding(words, width)
            angles = torch.outer(torch.arange(20.0), 0.1 ** torch.arange(0, width, 2).div(4))
            self.register_buffer("places", torch.cat([angles.sin(), angles.cos()], dim=1))
            self.readers = nn.Sequential(Reader(width, 2), Reader(width, 4))
            self.score = nn.Linear(width, words, bias=False)
            self.score.weight = self.words.weight
            for p in self.parameters():
                if p.dim() == 2:
                    nn.init.xavier_uniform_(p)

        def forward(self, ids):
            return self.score(self.readers(self.words(ids) + self.places[: ids.size(1)]))

    torch.manual_seed(0)
    model = Writer(11)
    print(sum(p.numel() for p in model.parameters()), len(list(model.named_parameters())))
    matrices, vectors = ([p for p in model.parameters() if (p.dim() > 1) is wanted] for wanted in (True, False))
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.02,
        betas=(0.9, 0.95),
    )
    scheduler = LambdaLR(optimizer, lambda step: min((step + 1) / 3, (3 / (step + 1)) ** 0.5))
    for _ in range(6):
        first = torch.randint(0, 11, size=(8, 1))
        data = (first + torch.arange(7)).remainder(11)
        scores = model(data[:, :-1])
        loss = F.cross_entropy(scores.reshape(-1, scores.size(-1)), data[:, 1:].reshape(-1), ignore_index=0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        print(f"{loss.item():.3f} {norm:.3f} {scheduler.get_last_lr()[0]:.5f}")
    model.eval()
    ids = torch.ones(1, 1, dtype=torch.long)
    with torch.no_grad():
        for _ in range(6):
            best = torch.topk(model(ids)[0, -1], 5)
            drawn = torch.multinomial(best.values.div(0.8).softmax(dim=-1), num_samples=1)
            ids = torch.cat((ids, best.indices[drawn].unsqueeze(0)), dim=1)
    print(ids)


def meta_learning_and_mixed_precision():
    """MAML (Finn et al., ICML 2017) through functional_call; then a loop with a scaler, accumulated gradients and an average."""
    import copy

    import torch
    from torch import nn
    from torch.func import functional_call

    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
    meta = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(4):
        meta.zero_grad()
        total = 0.0
        for _ in range(3):
            amplitude, phase = torch.rand(1) * 4 + 0.1, torch.rand(1) * torch.pi
            x = torch.rand(10, 1) * 10 - 5
            y = amplitude * torch.sin(x + phase)
            params = dict(net.named_parameters())
            for _ in range(2):
                loss = nn.functional.mse_loss(functional_call(net, params, (x[:5],)), y[:5])
                grads = torch.autograd.grad(loss, params.values(), create_graph=True)
                params = {name: p - 0.05 * g for (name, p), g in zip(params.items(), grads, strict=True)}
            outer = nn.functional.mse_loss(functional_call(net, params, (x[5:],)), y[5:])
            outer.backward()
            total += outer.item()
        meta.step()
        print(f"{total / 3:.4f}", end=" ")
    print(f"{next(net.parameters()).grad.norm():.4f}")

    net.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
    averaged = copy.deepcopy(net).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    scaler = torch.amp.GradScaler(device, init_scale=2.0**20, growth_interval=3)
    for i in range(12):
        x = torch.rand(16, 1) * 4 - 2
        with torch.autocast(device_type=device, dtype=torch.float16, enabled=False):
            loss = nn.functional.smooth_l1_loss(net(x), x.sin()) / 2
        scaler.scale(loss * (1e35 if i == 5 else 1)).backward()
        if i % 2:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grads_with_norm_(
                net.parameters(), 0.5, torch.nn.utils.get_total_norm([p.grad for p in net.parameters()])
            ) if i != 5 else None
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            with torch.no_grad():
                for kept, new in zip(averaged.state_dict().values(), net.state_dict().values(), strict=True):
                    kept.mul_(0.9).add_(new, alpha=0.1)
            print(f"{loss.item():.4f} {scaler.get_scale():.0f}", end=" ")
    print(scaler.state_dict(), f"{averaged(x).mean().item():.4f}")


CUSTOM = [
    layerwise_and_signed,
    uphill_first,
    powers_of_matrices,
    two_sequences_and_hooks,
    attention_and_sampling,
    meta_learning_and_mixed_precision,
]
