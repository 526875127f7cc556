"""Shared by all tests: modules of these folders can be imported by name; how many examples a property is tried on.

``OPTIMLAB_EXAMPLES=5000 python -m pytest tests/properties`` is the long run; the ordinary one takes 200, the same each time.
"""

import gc
import os
import shutil
import sys
from pathlib import Path

import hypothesis
import pytest

FOLDERS = ("", "browser", "properties", "reliability", "../book")
sys.path[:0] = [str(Path(__file__).parent / folder) for folder in FOLDERS]

examples = int(os.environ.get("OPTIMLAB_EXAMPLES", "200"))
hypothesis.settings.register_profile(
    "optimlab", max_examples=examples, derandomize=examples == 200, deadline=None, database=None
)
hypothesis.settings.load_profile("optimlab")


@pytest.fixture
def no_finalizers():
    """For tests that interrupt at any instruction: the collector may run finalizers of others in between, and what is raised
    in one goes nowhere.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def chromium():
    """Debian's chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and not os.environ.get("OPTIMLAB_ALL_TESTS"):
        pytest.skip("no chromium on this machine: install Debian's package chromium to run the browser tests")
    assert found, "OPTIMLAB_ALL_TESTS is set, and there is no chromium"
    from playwright.sync_api import sync_playwright

    from jupyter import FLAGS

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()
