"""The explorer: a pure function of its controls, shown live, as a static player, or as a stored picture.

``compute(**values)`` gives data; a `Scene` draws them over a background that is drawn once; ``goal(data)`` says whether the
goal is reached. With a kernel ipywidgets moves the controls. While the book is built (environment variable OPTIMLAB_BOOK)
the same object gives prepared frames and range inputs that a few lines of JavaScript drive. Elsewhere the picture that was
stored with the notebook stands in.

可调的小实验：由控件决定的纯函数；有内核时实时显示，成书时变成静态播放器，其他地方显示存下的图。
"""

import base64
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.lab.bilingual import Message, Text
from optimlab.lab.plots import png

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MOST_FRAMES = 60


@dataclass(frozen=True)
class Control:
    """One control: its name among the arguments of ``compute``, its label, its values, and which it begins with.

    Numbers make a slider, words a list to choose from. ``frames`` are the values that the static player offers; by
    default all of them, and () keeps the control at ``start`` there.
    """

    name: str
    label: Text
    values: Sequence[Any]
    start: Any
    frames: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.start not in self.values:
            raise ValueError(
                f"{self.name} starts with {self.start!r}, which is not among its values {list(self.values)}"
            )

    @property
    def prepared(self) -> Sequence[Any]:
        """The values of the static player."""
        return self.values if self.frames is None else (self.frames or (self.start,))

    def text(self, value: Any) -> str:
        """A value as it is printed beside its slider."""
        return f"{value:g}" if isinstance(value, (int, float)) else str(value)


@dataclass
class Scene:
    """A figure whose background stays, and the artists that ``update(data)`` moves in front of it."""

    figure: "Figure"
    moving: "list[Artist]"
    update: Callable[[Any], None]

    @functools.cached_property
    def _canvas(self) -> Any:
        """The figure's canvas, and its background, drawn once."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        for artist in self.moving:
            artist.set_animated(True)  # left out when the figure is drawn
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        return canvas, canvas.copy_from_bbox(self.figure.bbox)

    def _painted(self, *artists: "Artist") -> np.ndarray:
        """What is on the canvas, with artists in front of it: (height, width, 4) uint8."""
        for artist in artists:
            (artist.axes or self.figure).draw_artist(artist)
        return np.array(self._canvas[0].buffer_rgba())

    def back(self) -> np.ndarray:
        """The background: (height, width, 3) uint8."""
        canvas, background = self._canvas
        canvas.restore_region(background)
        return self._painted()[..., :3]

    def draw(self, data: Any) -> np.ndarray:
        """The picture of ``data``: (height, width, 3) uint8."""
        canvas, background = self._canvas
        self.update(data)
        canvas.restore_region(background)
        return self._painted(*self.moving)[..., :3]

    def front(self, data: Any) -> np.ndarray:
        """What moves, without the background: (height, width, 4) uint8, transparent where there is nothing."""
        canvas, _ = self._canvas
        self.update(data)
        canvas.renderer.clear()
        return self._painted(*self.moving)

    def sharp(self, times: int = 2) -> "Scene":
        """The same with ``times`` as many pixels each way; before anything is drawn."""
        self.figure.set_dpi(times * self.figure.dpi)
        return self


class Explorer:
    """A small experiment that its controls steer. 可调的小实验。

    name: short, it stands for the explorer in plain text. controls: see `Control`. compute(**values): the data, without
    side effects. scene(**values): the `Scene`, given those values that ``background`` names (it is kept for each of them).
    goal(data): a `Message`. alt: what the picture shows, for readers who cannot see it.
    """

    def __init__(
        self,
        name: str,
        controls: Iterable[Control],
        compute: Callable[..., Any],
        scene: Callable[..., Scene],
        goal: Callable[[Any], Message],
        alt: Text,
        background: Sequence[str] = (),
    ) -> None:
        self.name, self.controls, self.compute, self.goal, self.alt = name, list(controls), compute, goal, alt
        self._background = tuple(background)
        self._scene = functools.lru_cache(16)(scene)
        self._sharp = functools.lru_cache(16)(lambda **values: scene(**values).sharp())
        if (n := len(list(self.grid(prepared=True)))) > MOST_FRAMES:
            raise ValueError(
                f"the player would have {n} frames; give controls fewer frames, at most {MOST_FRAMES} in all"
            )

    def start(self) -> dict[str, Any]:
        """The values the controls begin with."""
        return {c.name: c.start for c in self.controls}

    def grid(self, prepared: bool = False) -> Iterable[dict[str, Any]]:
        """Every setting of the controls, or every one that the static player has; the last control changes fastest."""
        names = [c.name for c in self.controls]
        for values in itertools.product(*(c.prepared if prepared else c.values for c in self.controls)):
            yield dict(zip(names, values, strict=True))

    def show(self, values: Mapping[str, Any]) -> tuple[np.ndarray, Message]:
        """The picture and the message for one setting of the controls."""
        data = self.compute(**values)
        scene = self._scene(**{name: values[name] for name in self._background})
        return scene.draw(data), self.goal(data)

    # ---- live

    def widget(self) -> Any:
        """The explorer with live controls."""
        import ipywidgets as W

        wide = {"description_width": "initial"}
        layout = W.Layout(width="26em")
        inputs = {}
        for c in self.controls:
            options = [(c.text(v), v) for v in c.values]
            kind = W.SelectionSlider if isinstance(c.values[0], (int, float)) else W.Dropdown
            inputs[c.name] = kind(options=options, value=c.start, description=str(c.label), style=wide, layout=layout)
        picture, message = self.show(self.start())
        height = len(picture)
        # the picture's place keeps its size while the next one is on its way: nothing jumps
        place = W.Layout(max_width="100%", min_height=f"{height}px", object_fit="contain", object_position="left top")
        image = W.Image(value=png(picture), format="png", layout=place)
        image.alt = str(self.alt)
        text = W.HTML(message._repr_html_() + self._live_mark(), layout=W.Layout(min_height="3.6em"))

        def redraw(change: Any) -> None:
            picture, message = self.show({name: box.value for name, box in inputs.items()})
            image.value = png(picture)
            text.value = message._repr_html_() + self._live_mark()

        for box in inputs.values():
            box.observe(redraw, names="value")
        controls = W.Box(list(inputs.values()), layout=W.Layout(flex_flow="row wrap"))
        return W.VBox([controls, text, image])

    @staticmethod
    def _live_mark() -> str:
        """Hides the stored picture below for as long as the live one is there."""
        return "<style>.jp-OutputArea-child:has(.lab-live) + .jp-OutputArea-child{display:none}</style><i class='lab-live'></i>"

    # ---- static

    def still(self) -> bytes:
        """The picture that is stored with the notebook."""
        return png(self.show(self.start())[0], colors=200)

    def player(self) -> str:
        """HTML that works without a kernel and without a library: native inputs, pictures, and frames for player.js.

        Pictures are twice as sharp as `show`'s. What moves lies over a background that frames share: a tenth of the bytes.
        """
        backs: dict[tuple[Any, ...], bytes] = {}
        frames = []
        for values in self.grid(prepared=True):
            data = self.compute(**values)
            chosen = {name: values[name] for name in self._background}
            scene, key = self._sharp(**chosen), tuple(chosen.values())
            if key not in backs:
                height, width, _ = (side // 2 for side in scene.back().shape)
                backs[key] = png(scene.back(), colors=256)
            frames.append((key, _address(png(scene.front(data), colors=64)), self.goal(data)._repr_html_()))
        inputs, first = [], 0  # the frame that the controls begin with; the last control changes fastest
        for c in self.controls:
            n = len(c.prepared)
            start = list(c.prepared).index(c.start) if c.start in c.prepared else 0
            first = first * n + start
            if n > 1:
                texts = escape(json.dumps([c.text(v) for v in c.prepared]))
                inputs.append(
                    f'<label>{c.label.html()} <input type="range" min="0" max="{n - 1}" value="{start}" data-texts="{texts}">'
                    f" <output>{escape(c.text(c.prepared[start]))}</output></label>"
                )
        number = {key: i for i, key in enumerate(backs)}
        prepared = "".join(
            f'<div data-back="{number[k]}" data-picture="{front}">{told}</div>' for k, front, told in frames
        )
        seen, shown, said = frames[first]
        size = f'width="{width}" height="{height}"'
        under = "".join(
            f'<img class="lab-back" src="{_address(back)}" {size} alt=""{"" if key == seen else " hidden"}>'
            for key, back in backs.items()
        )
        return (
            f'<div class="lab-player" data-name="{escape(self.name)}"><div class="lab-controls">{" ".join(inputs)}</div>'
            f'<div class="lab-frame">{under}<img class="lab-front" src="{shown}" {size} alt="{escape(str(self.alt))}"></div>'
            f'<div class="lab-goal" aria-live="polite">{said}</div><div class="lab-frames" hidden>{prepared}</div></div>'
        )

    def __repr__(self) -> str:
        return f"explorer({self.name})"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if os.environ.get("OPTIMLAB_BOOK"):
            display({"text/plain": repr(self), "text/html": self.player()}, raw=True)
            return
        display({**self.widget()._repr_mimebundle_(), "text/plain": repr(self)}, raw=True)
        still = base64.b64encode(self.still()).decode()
        alt = {"image/png": {"alt": f"{self.alt.zh} · {self.alt.en}"}}
        display({"text/plain": f"picture({self.name})", "image/png": still}, raw=True, metadata=alt)


def _address(picture: bytes) -> str:
    """A PNG as an address."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
