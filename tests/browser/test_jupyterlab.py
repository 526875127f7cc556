"""Lesson 00 in a real JupyterLab, in a real browser: what a learner does, on a machine without a network."""

import re
from urllib.parse import urlparse

import pytest

from jupyter import LIVE, NOTEBOOK, go_to, open_lesson, run_all, running_lab


@pytest.fixture
def page(chromium):
    """A window, and the addresses it asks for as ``page.asked``."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()


def test_lesson_00(page, tmp_path):
    with running_lab(tmp_path) as address:
        open_lesson(page, address)
        kinds = run_all(page)
        assert len(kinds) > 15 and "error" not in kinds

        assert page.get_by_text("Jupyter news").count() == 0  # no question pops up in mid-lecture

        # a dragged slider changes the picture, and the goal's message turns
        index = go_to(page, "explorers.bowl")
        handle, explorer = page.locator(".noUi-handle").first, page.locator(LIVE)
        handle.scroll_into_view_if_needed()
        image, message = explorer.locator("img"), explorer.locator(".lab-message")
        assert "还没达到" in message.inner_text() and "Not yet" not in message.inner_text()
        assert page.locator(f"{LIVE} + .jp-OutputArea-child").is_hidden()  # the stored picture steps back
        before, place = image.get_attribute("src"), image.bounding_box()
        box, track = handle.bounding_box(), page.locator(".noUi-base").first.bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, y)
        page.mouse.down()
        page.mouse.move(track["x"] + track["width"] * 14 / 23, y, steps=5)  # the 15th of 24 values
        page.mouse.up()
        page.wait_for_function(f"old => document.querySelector('{LIVE} img').src != old", arg=before)
        page.wait_for_function(f"document.querySelector('{LIVE} .lab-message').innerText.includes('✓')")
        assert "0.15" in explorer.inner_text() and image.bounding_box() == place  # nothing jumped

        # the keyboard does it too: eight values up is beyond the limit
        handle.focus()
        for _ in range(8):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(f"document.querySelector('{LIVE} .lab-message').innerText.includes('发散')")

        # a guess is kept, and compared when the next cell runs
        go_to(page, 'predict("lr=0.21"')
        page.locator(".widget-toggle-buttons").first.get_by_role("button", name="B", exact=True).click()
        page.evaluate(
            f"{NOTEBOOK}.content.activeCellIndex = {NOTEBOOK}.content.widgets.findIndex("
            "c => c.model.sharedModel.source.includes('def losses'))"
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
        page.get_by_text("你猜 B，结果是 C").wait_for()

        # saved, the kernel gone, opened again: the stored picture is there
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_function(f"!{NOTEBOOK}.context.model.dirty")
        page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
        page.reload()
        page.wait_for_function(f"window.jupyterapp && {NOTEBOOK}?.content?.widgets?.length > {index}", timeout=60_000)
        go_to(page, "explorers.bowl")
        live = page.locator(
            ".jp-OutputArea-child:has-text('explorer'), .jp-OutputArea-child:has-text('Error displaying')"
        )
        still = live.locator("xpath=following-sibling::*[1]").locator("img").first
        still.wait_for(timeout=30_000)
        assert still.is_visible() and re.match("data:image/png", still.get_attribute("src"))

    hosts = {urlparse(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}, hosts
