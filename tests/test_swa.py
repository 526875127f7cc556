"""Averages of weights: against torch where it is installed, and on digits."""

import copy

import numpy as np
import pytest

import optimlab as ol
from optimlab import nn, optim
from optimlab.lab import data
from optimlab.optim import swa_utils


def network(torch):
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 1))


WAYS = {
    "default": lambda m: {},
    "swa": lambda m: {"avg_fn": m.get_swa_avg_fn()},
    "swa lists": lambda m: {"multi_avg_fn": m.get_swa_multi_avg_fn()},
    "ema": lambda m: {"avg_fn": m.get_ema_avg_fn(0.9)},
    "ema lists": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.9)},
    "buffers": lambda m: {"use_buffers": True},
    "own": lambda m: {"avg_fn": lambda average, weights, n: 0.5 * average + weights * (n + 1) / 10},
}


def averaging(torch, way):
    """The average after four steps of training, as a state dict of arrays."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model, draw = network(torch), np.random.RandomState(0)
        average = torch.optim.swa_utils.AveragedModel(model, **WAYS[way](torch.optim.swa_utils))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = [torch.tensor(draw.standard_normal((8, 3))) for _ in range(4)]
        for x in batches:
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()
            average.update_parameters(model)
        states = [{k: v.numpy().copy() for k, v in average.state_dict().items()}]
        torch.optim.swa_utils.update_bn([(x, 0) for x in batches], average)
        return [*states, {k: v.numpy() for k, v in average.state_dict().items()}]
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("way", WAYS)
def test_averages_are_torchs(way):
    torch = pytest.importorskip("torch", reason="torch is not installed; the means below stand for it")
    for ours, theirs in zip(averaging(ol, way), averaging(torch, way), strict=True):
        assert list(ours) == list(theirs) and next(iter(ours)) == "n_averaged"
        for key in ours:
            assert ours[key].dtype == theirs[key].dtype
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-12, atol=1e-15, err_msg=key)


def test_the_equal_mean_and_the_running_one():
    model = nn.Linear(1, 1, bias=False)
    mean, running = (swa_utils.AveragedModel(model, avg_fn=f) for f in (None, swa_utils.get_ema_avg_fn(0.5)))
    for w in (1.0, 2.0, 6.0):
        model.weight.data = ol.tensor([[w]])
        mean.update_parameters(model)
        running.update_parameters(model)
    assert mean.module.weight.item() == 3 and running.module.weight.item() == 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 6
    assert mean(ol.tensor([[2.0]])).item() == 6 and mean.n_averaged.item() == 3
    # the average is a model: it is copied, saved and loaded like one
    again = swa_utils.AveragedModel(nn.Linear(1, 1, bias=False))
    again.load_state_dict(copy.deepcopy(mean).state_dict())
    assert again.module.weight.item() == 3 and again.n_averaged.item() == 3


def test_after_an_error_an_average_is_as_before():
    model = nn.Linear(1, 1, bias=False)
    calls = []

    def fails(average, weights, n):
        calls.append(n)
        average.fill_(7)  # what it is given is a copy
        raise ZeroDivisionError

    average = swa_utils.AveragedModel(model, avg_fn=fails)
    average.update_parameters(model)
    before = {k: v.tolist() for k, v in average.state_dict().items()}
    with pytest.raises(ZeroDivisionError):
        average.update_parameters(model)
    assert {k: v.tolist() for k, v in average.state_dict().items()} == before and calls


def test_after_an_error_statistics_are_as_before():
    model = network(ol)
    model(ol.randn(8, 3))
    model[1].momentum = 0.3
    model[0].eval()
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError):
        swa_utils.update_bn([ol.randn(8, 3), ol.randn(8, 5)], model)
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    assert model[1].momentum == 0.3 and model.training and not model[0].training
    swa_utils.update_bn([], nn.Linear(1, 1))  # without batch normalisation there is nothing to do


def test_averaging_lowers_the_test_loss_on_digits():
    """A demonstration of Izmailov et al. (2018): on three seeds of three, at a high rate after a third of the training."""
    x_train, y_train, x_test, y_test = data.digits()
    loss_fn = nn.CrossEntropyLoss()
    for seed in range(3):
        ol.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        average = swa_utils.AveragedModel(net)
        optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        schedule = swa_utils.SWALR(optimizer, swa_lr=0.2, anneal_epochs=3)
        for epoch in range(12):
            order = ol.randperm(len(x_train))
            for start in range(0, len(x_train), 32):
                batch = order[start : start + 32]
                optimizer.zero_grad()
                loss_fn(net(x_train[batch]), y_train[batch]).backward()
                optimizer.step()
            if epoch >= 4:
                average.update_parameters(net)
                schedule.step()
        with ol.no_grad():
            last, mean = (loss_fn(model(x_test), y_test).item() for model in (net, average))
        # 0.12 to 0.07, 0.12 or, as the processor rounds, 0.17 to 0.07, 0.11 to 0.06
        assert mean < 0.9 * last < 0.3, (seed, last, mean)
