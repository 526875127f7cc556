"""What lessons stand on: test functions, data, plots, explorers, guesses and claims."""

import base64
import io
import re

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim
from optimlab.lab import claims, data, exercises, explorers, plots, predict, problems, quiz
from optimlab.lab.bilingual import Message, Text, keep
from optimlab.lab.explorer import Control, Explorer, Scene
from optimlab.lab.plots import png

DRAW = np.random.default_rng(0)
ALL = [problems.quadratic(1), problems.quadratic(100), *problems.PROBLEMS.values()]
EXPLORERS = {
    "bowl": explorers.bowl,
    "race": explorers.race,
    "race of four": lambda: explorers.race(["SGD", "Adam", "SGD", "Adam"], "himmelblau", steps=100),
    "plane": explorers.plane,
}


def points(problem, n=20):
    (x0, x1), (y0, y1) = problem.window
    return zip(DRAW.uniform(x0, x1, n), DRAW.uniform(y0, y1, n), strict=True)


@pytest.mark.parametrize("problem", ALL, ids=lambda p: p.name)
def test_minima_gradients_and_hessians(problem):
    for x, y in problem.minima:
        assert np.hypot(*problem.gradient(x, y)) < 1e-6  # the four minima of Himmelblau are given to 16 digits
        assert np.linalg.eigvalsh(problem.hessian(x, y)).min() > 0 and problem.distance(x, y) == 0
    for x, y in points(problem):
        p = ol.tensor(np.array([x, y]), requires_grad=True)
        problem(p).backward()
        # two ways of the chain rule: a few roundings apart
        np.testing.assert_allclose(problem.gradient(x, y), p.grad.numpy(), rtol=1e-12, atol=1e-12)
        h = 1e-5
        ahead = [problem.gradient(x + h * dx, y + h * dy) for dx, dy in ((1, 0), (0, 1))]
        behind = [problem.gradient(x - h * dx, y - h * dy) for dx, dy in ((1, 0), (0, 1))]
        numeric = (np.array(ahead) - np.array(behind)) / (2 * h)
        size = np.abs(problem.hessian(x, y)).max()
        # central differences: h² · third derivative of the gradient / 6, which is below 1e5 in these windows
        np.testing.assert_allclose(numeric, problem.hessian(x, y), atol=1e-6 * size + 1e-5)


def test_descend_is_the_loop_with_autograd():
    run = problems.descend(problems.ROSENBROCK, lambda ps: optim.Adam(ps, lr=0.02), steps=50)
    p = ol.tensor(np.array(problems.ROSENBROCK.start), requires_grad=True)
    optimizer = optim.Adam([p], lr=0.02)
    for t in range(50):
        np.testing.assert_allclose(run.path[t], p.tolist(), rtol=1e-9)  # ulps of the gradient, magnified over 50 steps
        optimizer.zero_grad()
        problems.ROSENBROCK(p).backward()
        optimizer.step()
    assert run.path.shape == (51, 2) and run.loss.shape == (51,)


def test_descend_survives_an_escape():
    run = problems.descend(problems.ROSENBROCK, lambda ps: optim.SGD(ps, lr=1.0), steps=20)
    assert not np.isfinite(run.loss[-1])


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("digits", 1797, 64), ("diabetes", 442, 10), ("breast_cancer", 569, 30)]
)
def test_data(name, rows, columns):
    split = getattr(data, name)(dtype=ol.float64)
    again = getattr(data, name)(dtype=ol.float64)
    assert len(split.x_train) + len(split.x_test) == rows == len(split.y_train) + len(split.y_test)
    assert split.x_train.shape[1] == columns and split.x_train.dtype is ol.float64
    for a, b in zip(split, again, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    if name != "digits":  # scaled by what is known from the training part alone
        np.testing.assert_allclose(split.x_train.numpy().mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(split.x_train.numpy().std(0), 1, rtol=1e-12)


@pytest.mark.parametrize("problem", ALL, ids=lambda p: p.name)
def test_plots_hold_the_data(problem):
    """Nothing is drawn as a box: a missing glyph warns, and warnings are errors."""
    path = problems.descend(problem, lambda ps: optim.SGD(ps, lr=0.001), steps=5).path
    plot = plots.paths(problem, {"SGD": path, r"$\eta=0.1$": path * 1.1})
    drawn = [line.get_xydata() for line in plot.ax.lines if len(line.get_xydata()) == 6]
    np.testing.assert_array_equal(drawn[0], path)
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in plot.ax.lines[-2:]}) == 2
    data, metadata = plot._repr_mimebundle_()
    assert data["text/plain"] == "plot" and base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "5 步" in metadata["image/png"]["alt"] and "in 5 steps" in metadata["image/png"]["alt"]


def test_curves_and_rates_hold_the_data():
    curve = plots.curves({"loss": [3.0, 2.0, 1.0]})
    np.testing.assert_array_equal(curve.ax.lines[0].get_ydata(), [3, 2, 1])
    assert "从 3 到 1" in curve.alt.zh and "from 3 to 1" in curve.alt.en and curve.picture().ndim == 3
    rates = plots.learning_rates({"StepLR": lambda o: optim.lr_scheduler.StepLR(o, 2, 0.5)}, epochs=4, lr=1.0)
    np.testing.assert_array_equal(rates.ax.lines[0].get_ydata(), [1, 1, 0.5, 0.5, 0.25])
    row = plots.images([np.eye(8)] * 2, ["7 → 9", "1"], Text("图", "picture"))
    assert row.picture().std() > 0


@pytest.mark.parametrize("name", EXPLORERS)
def test_explorer_shows_what_it_computes(name):
    explorer = EXPLORERS[name]()
    settings = list(explorer.grid(prepared=True))
    assert 2 <= len(settings) <= 60
    seen = set()
    for i in DRAW.choice(len(settings), 5, replace=False):
        picture, message = explorer.show(settings[i])
        again, _ = explorer.show(settings[i])
        np.testing.assert_array_equal(picture, again)  # pure: what was shown in between leaves no trace
        assert picture.dtype == np.uint8 and message.mark in "✓✗"
        seen.add(picture.tobytes())
    assert len(seen) == 5
    assert repr(explorer).startswith("explorer(") and len(repr(explorer)) < 40


def test_a_guess_in_the_book(monkeypatch):
    """There the reader guesses after the run: the page has buttons, and every case of the comparison."""
    monkeypatch.setenv("OPTIMLAB_BOOK", "1")
    question = predict.predict("<k>", ["A", "B & C"])._repr_html_()
    assert re.findall("<button>(.*?)</button>", question) == ["A", "B &amp; C"] and 'data-guess="&lt;k&gt;"' in question
    verdict = predict.compare("<k>", "B & C")._repr_html_()
    assert 'data-guess="&lt;k&gt;" data-answer="B &amp; C"' in verdict
    assert re.findall(r'data-case="(\w+)"( hidden)?', verdict) == [
        ("none", ""),
        ("right", " hidden"),
        ("wrong", " hidden"),
    ]
    assert verdict.count("…") == 2  # the guess's place, in each language
    monkeypatch.delenv("OPTIMLAB_BOOK")
    assert "button" not in predict.predict("k", ["A", "B"])._repr_html_()
    assert "结果是 A" in predict.compare("k", "A")._repr_html_()


@pytest.mark.parametrize("colors", [128, 200])
def test_small_pictures_keep_the_colours_of_lines(colors):
    """Areas and lines stay as they are when the palette is cut; only edges are approximated."""
    from PIL import Image

    steps = np.linspace(0, 4, 50)
    plot = plots.paths(
        problems.ROSENBROCK, {str(i): np.stack([steps - 2, steps - 1 + i / 5], axis=1) for i in range(6)}
    )
    picture = plot.picture().astype(int)
    stored = np.asarray(Image.open(io.BytesIO(png(plot.picture(), colors))).convert("RGB"), int)
    for color in plots.COLORS:
        wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (stored == wanted).all(axis=-1).sum() >= (picture == wanted).all(axis=-1).sum() > 50, color
    off = np.abs(stored - picture).max(axis=-1)
    assert (off > 0).mean() < 0.1 and (off > 24).mean() < 0.01  # edges alone are changed, and hardly
    few = np.where(picture > 127, 255, 0).astype(np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(few, colors))).convert("RGB")) == few).all()


@pytest.mark.parametrize("name", EXPLORERS)
def test_players_frames_are_what_the_library_computes(name):
    from PIL import Image

    explorer = EXPLORERS[name]()
    html = explorer.player()
    frames = re.findall(
        r'<div data-back="(\d+)" data-picture="data:image/png;base64,(.*?)">(.*?</div>)</div>', html, re.S
    )
    backs = re.findall(
        r'class="lab-back" src="data:image/png;base64,(.*?)" width="(\d+)" height="(\d+)" alt=""( hidden)?', html
    )
    settings = list(explorer.grid(prepared=True))
    assert len(frames) == len(settings) and len(html) < 600_000  # what moves is little
    counts = [int(n) + 1 for n in re.findall(r'max="(\d+)"', html)]
    assert np.prod(counts) == len(frames)

    def decoded(png):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), float)

    for i in DRAW.choice(len(settings), 10 if len(settings) >= 10 else len(settings), replace=False):
        picture, message = explorer.show(settings[i])
        back, front = decoded(backs[int(frames[i][0])][0]), decoded(frames[i][1])
        opacity = front[..., 3:] / 255
        laid = (front * opacity + back * (1 - opacity))[..., :3]
        scene = explorer._scene.__wrapped__(**{name: settings[i][name] for name in explorer._background}).sharp()
        off = np.abs(laid - scene.draw(explorer.compute(**settings[i]))).max(axis=-1)
        assert off.shape == (2 * picture.shape[0], 2 * picture.shape[1])
        # Pillow's palettes with opacity round the edges of lines to steps of 32 in colour and in opacity, where lines
        # cross more than once; a frame too late or a line that is missing would be off by 100 and more
        assert (off > 24).mean() < 0.003 and off.max() < 100
        assert frames[i][2] == message._repr_html_()
    assert {(int(width), int(height)) for _, width, height, _ in backs} == {picture.shape[1::-1]}
    assert html.count("<label>") == len(counts) and 'lang="zh"' in html and 'lang="en"' in html and "alt=" in html
    assert not re.search(r"<script|<[^>]* on\w+=", html)  # the book's policy allows no inline code
    start = settings.index({c.name: c.start if c.start in c.prepared else c.prepared[0] for c in explorer.controls})
    assert re.search('class="lab-front" src="data:image/png;base64,(.*?)"', html)[1] == frames[start][1]
    assert [i for i, back in enumerate(backs) if not back[3]] == [int(frames[start][0])]
    assert not re.search(r"https?://", html)


def test_bowl_reaches_its_goal_where_theory_says():
    """With κ = 10 a step shrinks the slower direction by max(|1 - η|, |1 - 10η|)."""
    explorer = explorers.bowl()
    for values in explorer.grid():
        lr = values["lr"]
        x, y = 4 * abs(1 - lr) ** 30, abs(1 - 10 * lr) ** 30
        message = explorer.goal(explorer.compute(**values))
        assert (message.mark == "✓") == ((x**2 + 10 * y**2) / 2 < 1e-3), lr
        assert ("发散" in message.text.zh) == ("diverges" in message.text.en) == (lr > 0.2), lr


def test_plane_is_the_measured_rate():
    """The spectral radius against the slope of long runs; where two roots meet, powers of t hide it, so not too near."""
    explorer = explorers.plane(steps=400)
    for lr, momentum, kappa in [(0.5, 0.0, 10), (1.5, 0.3, 3), (1.0, 0.8, 30), (3.0, 0.7, 10), (0.1, 0.9, 3)]:
        point = explorer.compute(lr=lr, momentum=momentum, kappa=kappa)
        loss = point.run.loss
        upper = np.array([loss[i : i + 60].max() for i in (60, 300)])  # the tops of the swings
        measured = (upper[1] / upper[0]) ** (1 / (2 * 240))
        assert measured == pytest.approx(point.rate, rel=0.02), (lr, momentum, kappa)
    # the limit of stability ηλ = 2 + 2μ
    assert explorers.spectral_radius(2.59, 0.3, 1.0) < 1 < explorers.spectral_radius(2.61, 0.3, 1.0)


def test_race_names_its_runners_and_refuses_others():
    explorer = explorers.race(["SGD", "Adam"])
    values = explorer.start() | {"problem": "quadratic", "lr0": 0.1}
    race = explorer.compute(**values)
    alone = problems.descend(problems.quadratic(), lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9), steps=200)
    np.testing.assert_array_equal(race.runs[0].path, alone.path)
    assert "1·SGD" in race.result().text.en
    for wrong in ([], ["SGD"] * 5, ["Sgd"]):
        with pytest.raises(ValueError, match="one to four of"):
            explorers.race(wrong)


def test_explorer_refuses_too_many_frames_and_a_wrong_start():
    with pytest.raises(ValueError, match="at most 60"):
        Explorer(
            "e",
            [Control("x", Text("甲", "x"), range(61), 0)],
            dict,
            lambda: Scene(None, [], None),
            None,
            Text("图", "p"),
        )
    with pytest.raises(ValueError, match="not among its values"):
        Control("x", Text("甲", "x"), [1, 2], 3)


def test_widget_follows_its_controls():
    explorer = explorers.bowl()
    box = explorer.widget()
    controls, text, image = box.children
    slider = controls.children[0]
    for value in (0.15, 0.22):
        slider.value = value
        picture, message = explorer.show({"lr": value})
        assert image.value == png(picture) and message._repr_html_() in text.value
    assert "学习率" in slider.description and "learning rate" in slider.description


def test_guesses_are_kept_and_compared(monkeypatch):
    shown = predict.predict("q", ["A", "B"])
    assert "A" in shown._repr_html_() and predict.compare("q", "B").mark == "→"
    predict._guesses["q"] = "B"
    assert predict.compare("q", "B").mark == "✓" and predict.compare("q", "A").mark == "✗"
    predict.predict("q", ["A", "B"])  # asked anew, the old guess is gone
    assert predict.compare("q", "A").mark == "→"
    with pytest.raises(ValueError, match="at least two"):
        predict.predict("q", ["A"])


def test_claims_hold_to_their_verdicts():
    for key, row in claims.statements().items():
        assert row["verdict"] in claims.VERDICTS and row["zh"] and row["en"]
        holds = row["verdict"] == "confirmed"
        assert key in repr(claims.claim(key, holds, "<b>"))
        assert "&lt;b&gt;" in claims.claim(key, holds, "<b>")._repr_html_()
        with pytest.raises(AssertionError, match="on file"):
            claims.claim(key, not holds)
    with pytest.raises(KeyError, match="S1-1"):
        claims.claim("S9-99", True)


def test_one_language_on_request(monkeypatch):
    message = Message("你好 <1>", "hello <1>", "✓")
    both = message._repr_html_()
    assert "你好 &lt;1&gt;" in both and "hello" in both
    for lang, other in [("zh", "hello"), ("en", "你好")]:
        monkeypatch.setenv("OPTIMLAB_LANG", lang)
        assert other not in repr(message) and message._repr_html_() == keep(both, lang)
    assert str(Text("甲", "a")) == "a"


WRONG = [  # an exercise, an answer, and the mark and a word of what the checker says
    ("00-step", 5, "✗", "function is wanted"),
    ("00-step", lambda p, g, lr: 1 / 0, "✗", "ZeroDivisionError"),
    ("00-step", lambda p, g, lr: None, "✎", "does not return"),
    ("00-step", lambda p, g, lr: p + lr * g, "✗", "wrong way"),
    ("00-step", lambda p, g, lr: p - g, "✗", "step as long"),
    ("00-step", lambda p, g, lr: 0.0, "✗", "wrong shape"),
    ("00-lr", 0.2, "✗", "no progress along y"),
    ("00-lr", 0.15, "✗", "not low enough"),
    ("00-lr", True, "✗", "finite positive"),
    ("00-step", lambda p, g, lr: [[1], [1, 2]], "✗", "should be numbers"),
    ("00-lr", 0.01, "✗", "not low enough"),
    ("00-lr", "x", "✗", "finite positive"),
    ("00-lr", ..., "✎", "Not answered"),
    ("04-sum", 5.0, "✗", "Too small"),
    ("04-sum", 10, "✗", "endless"),
    ("04-sum", float("nan"), "✗", "finite"),
    ("04-sum", 7.5, "✗", "Too large"),
    ("04-nesterov", lambda p, v, g, lr, mu: p, "✗", "two values"),
    ("04-nesterov", lambda p, v, g, lr, mu: ("a", "b"), "✗", "real arrays"),
    ("04-nesterov", lambda p, v, g, lr, mu: (p, g + 1j), "✗", "real arrays"),
    ("04-nesterov", lambda p, v, g, lr, mu: (p, mu * v - g), "✗", "velocity v is off"),
    ("04-nesterov", lambda p, v, g, lr, mu: (p - lr * (mu * v + g), mu * v + g), "✗", "position p is not"),
    ("04-tune", 3, "✗", "pair"),
    ("04-tune", (0.1, False), "✗", "pair"),
    ("04-tune", [0.05, 0.5], "✗", "beyond the limit"),
    ("04-tune", (0.0396, 0.99), "✗", "stable"),
    ("04-footnote", lambda mu: "x", "✗", "real number"),
    ("04-footnote", lambda mu: mu, "✗", "roots of the equation"),
    ("00-bug", lambda p, o, f: 3, "✗", "given"),
]


@pytest.mark.parametrize(("key", "answer", "mark", "word"), WRONG)
def test_checkers_say_what_is_wrong(key, answer, mark, word):
    message = exercises.check(key, answer)
    assert message.mark == mark and word in message.text.en
    with pytest.raises(KeyError, match="00-step"):
        exercises.check("99-none", 1)


def test_quizzes_have_one_right_choice_and_reasons_in_both_languages(monkeypatch):
    for lesson, questions in quiz.questions().items():
        for question in questions:
            assert sum(c.get("right", False) for c in question["choices"]) == 1
            assert all(c[key] for c in question["choices"] for key in ("zh", "en", "why_zh", "why_en"))
        html = quiz.quiz(lesson)._repr_html_()
        assert html.count("<details>") == sum(len(q["choices"]) for q in questions) and html.count("✓") == len(
            questions
        )
        assert "<script" not in html and repr(quiz.quiz(lesson)) == f"quiz({lesson})"
    with pytest.raises(KeyError, match="00"):
        quiz.quiz("77")
