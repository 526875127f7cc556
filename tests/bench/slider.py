"""Time from a key press on the slider of lesson 00 to its new picture, in JupyterLab and the real browser.

python tests/bench/slider.py [screenshots folder]
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from playwright.sync_api import sync_playwright

from jupyter import FLAGS, LIVE, go_to, open_lesson, run_all, running_lab

PRESS = """async ([picture, key]) => {
  const image = document.querySelector(picture), handle = document.querySelector('.noUi-handle');
  const old = image.src, start = performance.now();
  handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  while (image.src == old || !image.complete) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def main(shots: str | None) -> None:
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for lang, width in [("zh", 1280), ("en", 1280), ("zh", 1024), ("en", 1024)]:
            with tempfile.TemporaryDirectory() as home, running_lab(Path(home), lang=lang) as address:
                page = browser.new_page(viewport={"width": width, "height": 860})
                open_lesson(page, address)
                run_all(page)
                go_to(page, "explorers.bowl")
                page.locator(".noUi-handle").first.scroll_into_view_if_needed()
                moves = [page.evaluate(PRESS, [f"{LIVE} img", f"Arrow{way}"]) for way in 15 * ["Right"] + 15 * ["Left"]]
                print(
                    f"{lang} {width} px: median of {len(moves)} moves {median(moves):.0f} ms, slowest {max(moves):.0f} ms"
                )
                if shots:
                    page.screenshot(path=f"{shots}/lesson00-{lang}-{width}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
