"""A JupyterLab of a reader's own, opened by the course's command, and what it takes to drive it from a browser."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlparse

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
NOTEBOOK = "window.jupyterapp.shell.currentWidget"
LIVE = ".jp-OutputArea-child:has(.lab-live)"  # the explorer that follows its controls


@contextmanager
def running_lab(home, lesson="00", lang="zh"):
    """`optimlab open LESSON --lang zh` in an empty home; gives the lesson's address with the token."""
    places = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "RUNTIME", "DATA")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(home / name) for name in ("SETTINGS", "WORKSPACES")}
    command = [sys.executable, "-m", "optimlab", "open", lesson, "--lang", lang, "--"]
    options = ["--no-browser", "--expose-app-in-browser", "--ServerApp.port_retries=50"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen([*command, *options], cwd=home, env=os.environ | places, stdout=log, stderr=log)
        try:
            found = []
            for _ in range(240):
                found = list(home.glob("RUNTIME/jpserver-*.json"))
                if found or server.poll() is not None:
                    break
                time.sleep(0.25)
            assert found, (home / "log").read_text()
            running = json.loads(found[0].read_text())
            assert urlparse(running["url"]).hostname == "127.0.0.1" and running["token"]
            copy = next((home / "optimlab-lessons").glob(f"{lesson}_*.ipynb"))
            yield f"{running['url']}lab/tree/{copy.name}?reset&token={running['token']}"
        finally:
            server.terminate()
            server.wait(30)


def open_lesson(page, address):
    """Show the lesson and wait for its kernel."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function(f"{NOTEBOOK}?.context?.sessionContext?.session?.kernel?.status == 'idle'", timeout=60_000)


def run_all(page):
    """Run every cell; gives the kinds of all outputs."""
    cells = f"[...{NOTEBOOK}.content.model.cells].filter(c => c.type == 'code')"
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(f"{cells}.every(c => c.executionState == 'idle' && c.executionCount)", timeout=120_000)
    return page.evaluate(f"{cells}.flatMap(c => c.outputs.toJSON().map(o => o.output_type))")


def go_to(page, words):
    """Bring the cell that contains ``words`` to the middle of the window; gives its index."""
    index = page.evaluate(f"{NOTEBOOK}.content.widgets.findIndex(c => c.model.sharedModel.source.includes('{words}'))")
    page.evaluate(f"{NOTEBOOK}.content.scrollToItem({index}, 'center')")
    page.wait_for_timeout(1000)  # the notebook settles as the cells above are laid out
    return index
