"""Shared by all tests: the modules of this folder, and of the book's, can be imported by name."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "browser"), str(HERE.parent / "book")]
