"""Tables and pictures of schedules."""

import inspect
import pydoc
import re

import numpy as np
import pytest

import optimlab as ol
from optimlab import lab, optim
from optimlab.optim import lr_scheduler
from optimlab.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


def test_the_table_of_the_documents():
    table = lab.schedule_table(lambda o: MultiStepLR(o, [30, 80]), 100, lr=0.05)
    assert repr(table).splitlines() == [
        "lr = 0.05        if 0 <= epoch <= 29",
        "lr = 0.005       if 30 <= epoch <= 79",
        "lr = 0.0005      if 80 <= epoch <= 100",
    ]
    assert table.milestones == [30, 80] and table.lr.shape == (101, 1)
    html = table._repr_html_()
    assert html.count("<tr>") == 4 and "<td>30 – 79</td><td>0.005</td>" in html
    assert '<span lang="zh">轮次</span>' in html and '<span lang="en">epoch</span>' in html


def test_groups_and_momentum_have_columns_where_they_differ():
    table = lab.schedule_table(lambda o: LambdaLR(o, [lambda t: 1, lambda t: 0.5**t]), 2, lr=[0.1, 0.4])
    assert list(table.columns()) == ["lr[0]", "lr[1]"]
    assert repr(table).splitlines()[1] == "lr[0] = 0.1,        lr[1] = 0.2         if epoch == 1"
    np.testing.assert_array_equal(table.lr, [[0.1, 0.4], [0.1, 0.2], [0.1, 0.1]])
    table = lab.schedule_table(lambda o: CyclicLR(o, 0.1, 0.5, 2), 4)
    assert list(table.columns()) == ["lr", "momentum"]
    np.testing.assert_allclose(table.momentum[:, 0], [0.9, 0.85, 0.8, 0.85, 0.9])
    adam = optim.Adam([ol.zeros(1, requires_grad=True)], lr=ol.tensor(0.1))
    table = lab.schedule_table(lambda o: CyclicLR(o, 0.1, 0.5, 2), 4, optimizer=adam)
    np.testing.assert_allclose(table.momentum[:, 0], [0.9, 0.85, 0.8, 0.85, 0.9])
    table = lab.schedule_table(lambda o: ReduceLROnPlateau(o, patience=0), 3, metrics=[1.0, 1.0, 0.5])
    np.testing.assert_allclose(table.lr[:, 0], [0.1, 0.1, 0.01, 0.01])
    both = lab.schedule_table(lambda o: [StepLR(o, 1, 0.5), StepLR(o, 2, 0.5)], 2)
    np.testing.assert_allclose(both.lr[:, 0], [0.1, 0.05, 0.0125])
    with pytest.raises(ValueError, match="one for each of 3 epochs"):
        lab.schedule_table(lambda o: ReduceLROnPlateau(o), 3, metrics=[1.0])
    with pytest.raises(ValueError, match="one for each of 3 epochs"):
        lab.schedule_table(lambda o: ReduceLROnPlateau(o), 3)


def test_only_the_one_that_listens_is_told_the_metric():
    both = lab.schedule_table(lambda o: [StepLR(o, 1, 0.5), ReduceLROnPlateau(o, patience=0)], 3, metrics=[7.0] * 3)
    np.testing.assert_allclose(both.lr[:, 0], [0.1, 0.05, 0.0025, 0.000125])
    assert both.plot().alt.en.startswith("StepLR, ReduceLROnPlateau over 3 epochs: lr from 0.1 to")
    assert both.plot().alt.zh.startswith("StepLR、ReduceLROnPlateau 共 3 轮：lr 从 0.1 到")


def test_an_optimizer_that_is_given_stays_as_it_is():
    p = ol.tensor([1.0], requires_grad=True)
    p.grad = ol.tensor([1.0])
    optimizer = optim.Adam([p], lr=0.1)
    before = dict(optimizer.param_groups[0])
    assert lab.schedule_table(lambda o: StepLR(o, 1), 3, optimizer=optimizer).lr[-1, 0] == pytest.approx(1e-4)
    assert p.item() == 1 and not optimizer.state and optimizer.param_groups[0] == before


def test_a_long_table_is_cut_in_the_middle():
    table = lab.schedule_table(lambda o: ExponentialLR(o, 0.999), 1000)
    lines = repr(table).splitlines()
    assert (
        len(lines) == 101 and lines[50] == "…" and lines[-1].endswith("if epoch == 1000") and len(table.rows()) == 1001
    )
    assert table._repr_html_().count("<tr>") == 102 and "<td>…</td><td>…</td>" in table._repr_html_()


def test_what_is_no_schedule_is_refused():
    with pytest.raises(TypeError, match="make must return a schedule"):
        lab.schedule_table(lambda o: None, 3)
    with pytest.raises(ValueError, match="epochs must be an integer >= 0"):
        lab.schedule_table(lambda o: StepLR(o, 3), -3)


def nested(o):
    inner = SequentialLR(o, [ConstantLR(o, 0.5, 9), MultiStepLR(o, [2, 7])], [3])
    chain = ChainedScheduler([ExponentialLR(o, 0.9), MultiStepLR(o, [4])])
    return SequentialLR(o, [inner, chain], [8])


def test_a_picture_of_any_composition():
    plot = lab.schedule_plot(nested, 20, lr=[0.1, 0.2])
    table = lab.schedule_table(nested, 20, lr=[0.1, 0.2])
    # the first one within goes over at 3, its second at 3 + 2; at 3 + 7 its time is over; the chain changes at 8 + 4
    assert table.milestones == [3, 5, 8, 12]
    curves = [line for line in plot.ax.lines if len(line.get_xdata()) == 21]
    for i, line in enumerate(curves):
        np.testing.assert_array_equal(line.get_ydata(), table.lr[:, i])
    marks = [line.get_xdata()[0] for line in plot.ax.lines if len(line.get_xdata()) == 2]
    assert marks == [3, 5, 8, 12] and plot.picture().std() > 0
    assert "虚线标出第 3、5、8、12 轮" in plot.alt.zh and "dotted lines at epochs 3, 5, 8, 12" in plot.alt.en
    with_momentum = lab.schedule_plot(lambda o: CyclicLR(o, 0.1, 0.5, 2), 8)
    panels = with_momentum.ax.get_figure().axes
    assert len(panels) == 2 and "momentum from 0.9 to 0.9, lowest 0.8" in with_momentum.alt.en
    assert "最大 0.5" in with_momentum.alt.zh


def test_help_lists_every_schedule_in_both_languages():
    text = pydoc.plain(pydoc.render_doc(lr_scheduler))
    for name in lr_scheduler.__all__:
        first = inspect.getdoc(getattr(lr_scheduler, name)).splitlines()[0]
        assert re.search("[\u4e00-\u9fff]", first) and re.match("[A-Z]", first), name
        assert f"{name}: {first}" in text.partition("PACKAGE CONTENTS")[0], name  # in the list at the top
        assert text.count(first) == 2, name  # and where the class has its turn
    swa = pydoc.plain(pydoc.render_doc(optim.swa_utils))
    assert all(name in swa for name in optim.swa_utils.__all__)
