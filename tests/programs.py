"""Whole programs, written for torch once; they run with torch, and with optimlab lent its name.

Run as a script this file records what torch prints.
python tests/programs.py        # needs torch 2.13.0; rewrites tests/goldens/programs.json
"""

import contextlib
import io
import json
from pathlib import Path

from custom_optimizers import CUSTOM
from introductions import INTRODUCTIONS

GOLDENS = Path(__file__).parent / "goldens" / "programs.json"


def digits_mlp(torch, x_train, y_train, x_test, y_test, epochs=20):
    """A 64-128-10 network on digits with Adam; returns the loss of each epoch and the share of right answers."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(x_train))
        total = 0.0
        for start in range(0, len(x_train), 64):
            batch = order[start : start + 64]
            optimizer.zero_grad()
            loss = loss_fn(net(x_train[batch]), y_train[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(x_train))
    with torch.no_grad():
        right = (net(x_test).argmax(1) == y_test).float().mean().item()
    return losses, right


# ---- three programs from end to end: they print the loss of every step, stop half-way, and go on from a file


def digits_network():
    """A multilayer perceptron on scikit-learn's digits: AdamW, warm-up and cosine, clipped gradients."""
    import os
    import tempfile

    import torch
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
    from torch.utils.data import DataLoader, TensorDataset, random_split

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 10)
            )

        def forward(self, x):
            return self.layers(x)

    def begin():
        model = Net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
        warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=10)
        cosine = CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-5)
        return model, optimizer, SequentialLR(optimizer, [warm_up, cosine], milestones=[10])

    def train(model, optimizer, scheduler, epochs):
        model.train()
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                scheduler.step()
                print(loss.item())

    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.get_default_dtype()), torch.tensor(labels))
    training, held_out = random_split(data, [1600, 197])
    loader = DataLoader(training, batch_size=64, shuffle=True)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    model, optimizer, scheduler = begin()
    train(model, optimizer, scheduler, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "digits.pt")
        torch.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "random": torch.get_rng_state(),
            },
            path,
        )
        model, optimizer, scheduler = begin()
        state = torch.load(path)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["random"])
    train(model, optimizer, scheduler, epochs=1)
    model.eval()
    with torch.no_grad():
        x, y = next(iter(DataLoader(held_out, batch_size=len(held_out))))
        print("right", (model(x).argmax(dim=1) == y).sum().item(), "of", len(held_out))


def digits_lenet():
    """LeNet on digits enlarged to 32 × 32 in three channels: SGD with momentum, a rate that falls by steps."""
    import os
    import tempfile

    import numpy as np
    import torch
    import torch.nn.functional as F
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = torch.flatten(x, 1)
            x = F.relu(self.fc1(x))
            x = F.relu(self.fc2(x))
            return self.fc3(x)

    def begin():
        model = LeNet()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)

    def train(model, optimizer, scheduler):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            print(loss.item())

    torch.manual_seed(1)
    digits = load_digits()
    images = np.repeat(np.repeat(digits.images[:800] / 8 - 1, 4, axis=1), 4, axis=2)[:, None]
    images = torch.tensor(images, dtype=torch.get_default_dtype()).repeat(1, 3, 1, 1)
    loader = DataLoader(TensorDataset(images, torch.tensor(digits.target[:800])), batch_size=32, shuffle=True)
    model, optimizer, scheduler = begin()
    train(model, optimizer, scheduler)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lenet.pt")
        torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], path)
        model, optimizer, scheduler = begin()
        states = torch.load(path, map_location="cpu", weights_only=True)
    for part, state in zip((model, optimizer, scheduler), states, strict=True):
        part.load_state_dict(state)
    train(model, optimizer, scheduler)
    with torch.no_grad():
        print("right", int((model(images[:200]).argmax(1) == torch.tensor(digits.target[:200])).sum()), "of 200")


def diabetes_regression():
    """Regression with batch normalisation on scikit-learn's diabetes data: RMSprop, a plateau schedule, averaged weights."""
    import io

    import torch
    from sklearn.datasets import load_diabetes
    from torch import nn
    from torch.optim.swa_utils import AveragedModel, update_bn
    from torch.utils.data import DataLoader, Dataset

    class Patients(Dataset):
        def __init__(self):
            x, y = load_diabetes(return_X_y=True)
            self.x = torch.tensor(x, dtype=torch.get_default_dtype()) * 21
            self.y = torch.tensor(y, dtype=torch.get_default_dtype()).unsqueeze(1) / 100

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            return self.x[i], self.y[i]

    def begin():
        model = nn.Sequential(nn.Linear(10, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 1))
        optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3, momentum=0.5)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.2)
        return model, optimizer, scheduler

    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(Patients(), batch_size=50, shuffle=True, drop_last=True, generator=generator)
    loss_fn = nn.MSELoss()
    model, optimizer, scheduler = begin()
    averaged = AveragedModel(model)
    for epoch in range(6):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
            print(loss.item())
        scheduler.step(total / len(loader))
        if epoch >= 3:
            averaged.update_parameters(model)
        if epoch == 2:
            file = io.BytesIO()
            torch.save(
                {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "s": scheduler.state_dict()}, file
            )
            file.seek(0)
            state = torch.load(file)
            model, optimizer, scheduler = begin()
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            scheduler.load_state_dict(state["s"])
    print(optimizer.param_groups[0]["lr"])
    update_bn(loader, averaged)
    averaged.eval()
    with torch.no_grad():
        print(loss_fn(averaged(loader.dataset.x), loader.dataset.y).item())


FROM_END_TO_END = [digits_network, digits_lenet, diabetes_regression]
WHOLE = [*INTRODUCTIONS, *CUSTOM]


def output(program, torch, dtype="float32"):
    """What the program prints, with this default dtype."""
    printed = io.StringIO()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with contextlib.redirect_stdout(printed):
            program()
    finally:
        torch.set_default_dtype(torch.float32)
    return printed.getvalue()


def torch_outputs(torch):
    """What all programs print with torch, by name."""
    found = {program.__name__: output(program, torch) for program in WHOLE}
    for program in FROM_END_TO_END:
        found |= {f"{program.__name__}/{dtype}": output(program, torch, dtype) for dtype in ("float64", "float32")}
    return found


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    GOLDENS.write_text(json.dumps(torch_outputs(torch), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
