"""Lessons as files: their canonical form, and a command that runs them and stores them with outputs.

python tests/notebooks.py            # run every lesson and store it
python tests/notebooks.py FILE ...   # run these
"""

import itertools
import sys
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def lessons():
    """All lessons, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def canonical(nb):
    """The notebook without what changes from run to run: times, widget models, the version of Python; ids in order."""
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for i, cell in enumerate(nb.cells):
        cell.id = f"c{i:03}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data.pop("application/vnd.jupyter.widget-view+json", None)
        if "outputs" in cell:
            cell.outputs = list(_joined(cell.outputs))
    nb.nbformat, nb.nbformat_minor = 4, 5
    return nb


def _joined(outputs):
    """Printed text in one piece: the kernel sends it in as many as its clock happens to make."""
    for _, group in itertools.groupby(enumerate(outputs), lambda x: x[1].get("name") or x[0]):
        first, *rest = [output for _, output in group]
        for output in rest:
            first.text += output.text
        yield first


def text(nb):
    """The notebook as it is stored."""
    return nbformat.writes(nb, indent=1) + "\n"


def run(path):
    """Run a lesson from top to bottom in a fresh kernel and store it; an error in a cell leaves the file as it was."""
    from nbclient import NotebookClient

    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(nb, timeout=60, resources={"metadata": {"path": str(path.parent)}}).execute()
    path.write_text(text(canonical(nb)), encoding="utf-8")


if __name__ == "__main__":
    from tqdm import tqdm

    for path in tqdm([Path(name) for name in sys.argv[1:]] or lessons(), unit="lesson"):
        run(path)
