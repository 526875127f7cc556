"""The browser that all tests of this folder share."""

import os
import shutil

import pytest

from jupyter import FLAGS


@pytest.fixture(scope="module")
def chromium():
    """Debian's chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and not os.environ.get("OPTIMLAB_ALL_TESTS"):
        pytest.skip("no chromium on this machine: install Debian's package chromium to run the browser tests")
    assert found, "OPTIMLAB_ALL_TESTS is set, and there is no chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()
