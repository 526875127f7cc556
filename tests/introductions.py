"""What the usual introductions to torch.optim do, in short programs that print what they see; written for torch."""

# ruff: noqa: E741


def momentum_and_milestones():
    """SGD with its options, plain, with momentum and Nesterov's way; what its state holds; a rate that falls at milestones."""
    import torch
    from torch import optim
    from torch.optim.lr_scheduler import MultiStepLR
    from torch.optim.sgd import SGD

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    loss_fn = torch.nn.MSELoss()
    input, target = torch.randn(5, 3), torch.randn(5, 1)
    for options in ({}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.1}, {"momentum": 0.9, "nesterov": True}):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-3, **options)
        for _ in range(3):
            optimizer.zero_grad()
            loss = loss_fn(model(input), target)
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.5f}", end=" ")
        print(list(optimizer.state_dict()["state"]))
    print(optimizer)
    print(model.weight, model.bias)
    print(optimizer.state_dict())
    print(optim.SGD is torch.optim.SGD is SGD, issubclass(optim.SGD, optim.Optimizer))

    optimizer = optim.SGD(model.parameters(), lr=0.05)
    scheduler = MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)
    for epoch in range(100):
        if epoch in (0, 29, 30, 79, 80, 99):
            print(epoch, scheduler.get_last_lr(), optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    state = scheduler.state_dict()
    print(sorted(state), dict(state["milestones"]), state["base_lrs"], state["last_epoch"])
    print(isinstance(scheduler, optim.lr_scheduler.LRScheduler))


def layers_and_closures():
    """A convolutional network's state, options for single layers, the two ways to step, L-BFGS with its closure."""
    import torch
    import torch.nn.functional as F
    from torch import nn, optim
    from torch.autograd import Variable

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x):
            x = self.pool(F.relu(self.conv1(x)))
            x = self.pool(F.relu(self.conv2(x)))
            x = x.view(-1, 16 * 5 * 5)
            x = F.relu(self.fc1(x))
            x = F.relu(self.fc2(x))
            return self.fc3(x)

    torch.manual_seed(0)
    model = LeNet()
    print("Model's state_dict:")
    for name, value in model.state_dict().items():
        print(name, "\t", value.size())
    print(model)
    optimizer1 = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    var1, var2 = Variable(torch.ones(2), requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer2 = optim.Adam([var1, var2], lr=0.0001)
    for _ in range(2):
        optimizer1.zero_grad()
        optimizer2.zero_grad()
        loss = F.cross_entropy(model(torch.rand(4, 3, 32, 32)), torch.tensor([3, 1, 4, 1]))
        (loss + (var1**2).sum() + (var2 - 1).abs().sum()).backward()
        optimizer1.step()
        optimizer2.step()
        print(f"{loss.item():.4f}")
    print(var1, var2)

    class Classified(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
            self.classifier = nn.Linear(8, 3)

        def forward(self, x):
            return self.classifier(self.base(x))

    model = Classified()
    groups = [{"params": model.base.parameters()}, {"params": model.classifier.parameters(), "lr": 1e-3}]
    optimizer = optim.SGD(groups, lr=1e-2, momentum=0.9)
    print([(group["lr"], group["momentum"], len(group["params"])) for group in optimizer.param_groups])
    dataset = [(torch.rand(6, 4), torch.randint(0, 3, (6,))) for _ in range(4)]
    loss_fn = nn.CrossEntropyLoss()
    for input, target in dataset:
        optimizer.zero_grad()
        output = model(input)
        loss = loss_fn(output, target)
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.5f}")

    optimizer = optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)
    for input, target in dataset:

        def closure(input=input, target=target):
            optimizer.zero_grad()
            output = model(input)
            loss = loss_fn(output, target)
            loss.backward()
            return loss

        print(f"{optimizer.step(closure).item():.4f}")


def every_schedule():
    """Two parameters with rates of their own, and every schedule with the numbers of its documentation."""
    from pprint import pprint

    import torch
    from torch.optim import lr_scheduler

    w = torch.tensor([1.0], requires_grad=True)
    b = torch.tensor([1.0], requires_grad=True)
    x = torch.tensor([2.0])
    y = torch.tensor([4.0])
    z = w @ x + b
    l = (y - z) ** 2
    l.backward()
    print(w.grad, b.grad)
    optimizer = torch.optim.SGD([{"params": w}, {"params": b, "lr": 1e-3}], lr=1e-2)
    optimizer.step()
    print(w, b)
    pprint(optimizer.param_groups)
    optimizer.add_param_group({"params": torch.nn.Linear(2, 1).parameters(), "lr": 1e-4})
    print(len(optimizer.param_groups), optimizer.param_groups[2]["lr"], optimizer.param_groups[2]["momentum"])

    def sequence(optimizer):
        first = lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
        return lr_scheduler.SequentialLR(optimizer, [first, lr_scheduler.ExponentialLR(optimizer, gamma=0.9)], [2])

    def chain(optimizer):
        first = lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
        return lr_scheduler.ChainedScheduler([first, lr_scheduler.ExponentialLR(optimizer, gamma=0.9)])

    cases = {
        "ChainedScheduler": (1.0, chain),
        "ConstantLR": (0.05, lambda o: lr_scheduler.ConstantLR(o, factor=0.5, total_iters=4)),
        "CosineAnnealingLR": (0.1, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=1e-3)),
        "CosineAnnealingWarmRestarts": (0.1, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2)),
        "CyclicLR": (0.1, lambda o: lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=10)),
        "CyclicLR, triangular2": (
            0.1,
            lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=5, step_size_down=7, mode="triangular2"),
        ),
        "CyclicLR, exp_range": (
            0.1,
            lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=5, mode="exp_range", gamma=0.99),
        ),
        "ExponentialLR": (0.1, lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9)),
        "LambdaLR": (0.1, lambda o: lr_scheduler.LambdaLR(o, lr_lambda=[lambda epoch: 0.95**epoch])),
        "LinearLR": (0.1, lambda o: lr_scheduler.LinearLR(o, start_factor=0.5, total_iters=4)),
        "MultiplicativeLR": (0.1, lambda o: lr_scheduler.MultiplicativeLR(o, lr_lambda=lambda epoch: 0.95)),
        "MultiStepLR": (0.05, lambda o: lr_scheduler.MultiStepLR(o, milestones=[30, 80], gamma=0.1)),
        "OneCycleLR": (0.1, lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=100)),
        "PolynomialLR": (0.1, lambda o: lr_scheduler.PolynomialLR(o, total_iters=40, power=2.0)),
        "ReduceLROnPlateau": (0.1, lambda o: lr_scheduler.ReduceLROnPlateau(o, "min", patience=3, min_lr=1e-3)),
        "SequentialLR": (1.0, sequence),
        "StepLR": (0.05, lambda o: lr_scheduler.StepLR(o, step_size=30, gamma=0.1)),
    }
    for name, (lr, make) in cases.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
        scheduler = make(optimizer)
        rates = [optimizer.param_groups[0]["lr"]]
        for epoch in range(99):
            optimizer.step()
            scheduler.step(*[1 / (1 + min(epoch, 20))] if name == "ReduceLROnPlateau" else [])
            rates.append(scheduler.get_last_lr()[0])
        print(f"{name:28}", *(f"{rates[epoch]:.6g}" for epoch in (0, 1, 2, 3, 4, 5, 9, 10, 29, 30, 59, 60, 80, 99)))
        saved = scheduler.state_dict()
        resumed = make(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9))
        resumed.load_state_dict(saved)
        print(" " * 28, [f"{lr:.6g}" for lr in resumed.get_last_lr()])

    optimizer = torch.optim.SGD([{"params": w}, {"params": b, "lr": 0.5}], lr=0.1)
    scheduler = lr_scheduler.LambdaLR(optimizer, lr_lambda=[lambda epoch: epoch // 30, lambda epoch: 0.95**epoch])
    for _ in range(31):
        optimizer.step()
        scheduler.step()
    print([f"{lr:.6f}" for lr in scheduler.get_last_lr()])


def groups_and_state_by_hand():
    """What an optimizer is made of: defaults, state, groups; clearing gradients by hand; states that go back and forth."""
    import copy

    import torch
    from torch import optim

    torch.manual_seed(1)
    w = torch.randn(2, 2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    print(optimizer.defaults)
    print(optimizer.state)
    print([sorted(group) for group in optimizer.param_groups])
    print(optimizer.param_groups[0]["params"][0] is w)
    for _ in range(2):
        (w**2).sum().backward()
        optimizer.step()
    print(w.grad)  # the sum of two: nothing has cleared it
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                p.grad.detach_()
                p.grad.zero_()
    print(w.grad)
    print(optimizer.state[w]["momentum_buffer"])
    saved = copy.deepcopy(optimizer.state_dict())
    print(saved["state"].keys(), saved["param_groups"][0]["params"])
    v = w.detach().clone().requires_grad_()
    other = optim.SGD([v], lr=0.5, momentum=0.1)
    other.load_state_dict(saved)
    for p, o in ((w, optimizer), (v, other)):
        o.zero_grad()
        (p**2).sum().backward()
        o.step()
    print(torch.equal(w, v), other.param_groups[0]["lr"])
    optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.01})
    print([group["lr"] for group in optimizer.param_groups])
    for wrong in ({"params": [w]}, [w], {"lr": 0.1}):
        try:
            optimizer.add_param_group(wrong)
        except (ValueError, TypeError, KeyError):
            print("refused;", len(optimizer.param_groups), "groups as before")


def save_and_load_a_state():
    """One weight and its gradient set by hand: step, clear, add a group, and the optimizer's state through a file."""
    import os
    import tempfile

    import torch
    from torch import optim

    torch.manual_seed(4)
    weight = torch.randn((2, 2), requires_grad=True)
    weight.grad = torch.ones((2, 2))
    optimizer = optim.SGD([weight], lr=0.1)
    print(weight.data)
    optimizer.step()
    print(weight.data)
    optimizer.step()
    print(weight.data, id(optimizer.param_groups[0]["params"][0]) == id(weight))
    print(weight.grad)
    optimizer.zero_grad(set_to_none=False)
    print(weight.grad)
    print(optimizer.param_groups)
    w2 = torch.randn((3, 3), requires_grad=True)
    optimizer.add_param_group({"params": w2, "lr": 0.0001})
    print(optimizer.param_groups)

    optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
    print(optimizer.state_dict())
    for _ in range(10):
        optimizer.step()
    print(optimizer.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        torch.save(optimizer.state_dict(), os.path.join(folder, "optimizer_state_dict.pkl"))
        optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
        state_dict = torch.load(os.path.join(folder, "optimizer_state_dict.pkl"))
    print(optimizer.state_dict())
    optimizer.load_state_dict(state_dict)
    print(optimizer.state_dict())


def what_tutorials_do():
    """The habits of training programs: seeds, devices, groups without decay, OneCycle, clipping, the best weights in a file."""
    import copy
    import os
    import tempfile

    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.optim import AdamW
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    torch.cuda.manual_seed_all(0)
    torch.backends.cudnn.deterministic = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    class Net(nn.Module):
        def __init__(self, hidden=16):
            super(Net, self).__init__()  # noqa: UP008, as they write it
            self.layers = nn.ModuleList([nn.Linear(8, hidden), nn.Linear(hidden, hidden)])
            self.norm = nn.BatchNorm1d(hidden)
            self.drop = nn.Dropout(p=0.2)
            self.out = nn.Linear(hidden, 3)
            self.register_buffer("scale", torch.tensor(2.0))
            self.apply(self.begin)

        @staticmethod
        def begin(module):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=nn.init.calculate_gain("relu"))
                nn.init.constant_(module.bias, 0.1)

        def forward(self, x):
            for layer in self.layers:
                x = F.relu(layer(x))
            return F.log_softmax(self.out(self.drop(self.norm(x))) * self.scale, dim=-1)

    x = torch.rand(200, 8) - 0.5
    y = (x @ (torch.rand(8, 3) - 0.5)).argmax(dim=1)
    train = DataLoader(TensorDataset(x[:160], y[:160]), batch_size=32, shuffle=True, num_workers=0, pin_memory=False)
    test = DataLoader(TensorDataset(x[160:], y[160:]), batch_size=40)
    model = Net().to(device)
    print(model)
    print(device, sum(p.numel() for p in model.parameters() if p.requires_grad))
    criterion = nn.NLLLoss()
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    others = [p for name, p in model.named_parameters() if not name.endswith("weight")]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=1e-2, betas=(0.9, 0.98))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, steps_per_epoch=len(train), epochs=4)
    best = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "best.pth")
        for epoch in range(4):
            model.train()
            running, correct, total = 0.0, 0, 0
            for i, (inputs, labels) in enumerate(train, 0):
                inputs, labels = inputs.to(device), labels.to(device)
                optimizer.zero_grad(set_to_none=True)
                outputs = model(inputs)
                loss = criterion(outputs, labels)
                (loss + 1e-4 * sum((p**2).sum() for p in model.parameters())).backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                scheduler.step()
                if i % 4 == 0:
                    print(f"[{epoch + 1}, {i + 1:2d}] loss: {loss.item():.4f}")
                running += loss.item() * inputs.size(0)
                _, predicted = torch.max(outputs.data, 1)
                total += labels.size(0)
                correct += (predicted == labels).sum().item()
            model.eval()
            held_out = 0.0
            with torch.no_grad():
                for inputs, labels in test:
                    held_out += criterion(model(inputs), labels).item()
            rate = optimizer.param_groups[0]["lr"]
            print(f"epoch {epoch + 1} loss: {running / total:.4f} right: {correct} of {total}", end=" ")
            print(f"held out: {held_out:.4f} lr: {rate:.6f} norm: {norm:.3f}")
            if held_out < best:
                best = held_out
                kept = copy.deepcopy(model.state_dict())
                state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "loss": loss}
                torch.save({**state, "scheduler": scheduler.state_dict(), "best": best, "size": x.shape}, path)
        state = torch.load(path, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        print(state["epoch"], state["best"] == best, state["loss"].requires_grad, state["size"])
        print(all(torch.equal(p, kept[name]) for name, p in model.state_dict().items()))
        torch.save(model.state_dict(), path)
        print(Net().load_state_dict(torch.load(path, weights_only=True)))
    for p in model.layers.parameters():
        p.requires_grad = False
    optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.1, momentum=0.9)
    print(len(optimizer.param_groups[0]["params"]))


INTRODUCTIONS = [
    momentum_and_milestones,
    layers_and_closures,
    every_schedule,
    groups_and_state_by_hand,
    save_and_load_a_state,
    what_tutorials_do,
]
