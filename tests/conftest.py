"""Shared by all tests: modules of these folders can be imported by name; how many examples a property is tried on.

``OPTIMLAB_EXAMPLES=5000 python -m pytest tests/properties`` is the long run; the ordinary one takes 200, the same each time.
"""

import os
import sys
from pathlib import Path

import hypothesis

FOLDERS = ("", "browser", "properties", "reliability", "../book")
sys.path[:0] = [str(Path(__file__).parent / folder) for folder in FOLDERS]

examples = int(os.environ.get("OPTIMLAB_EXAMPLES", "200"))
hypothesis.settings.register_profile(
    "optimlab", max_examples=examples, derandomize=examples == 200, deadline=None, database=None
)
hypothesis.settings.load_profile("optimlab")
