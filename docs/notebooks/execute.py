"""Execute the notebooks of this folder and write their outputs into them.

    python docs/notebooks/execute.py [NAME ...]

Each runs in a new empty folder with a cache of its own, so that nothing of this machine is used or
shown. Needs the development dependencies (nbclient, ipykernel).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
SECONDS = 600  # that one cell may take


def notebooks() -> list[Path]:
    """Return the notebooks of this folder."""
    return sorted(HERE.glob("*.ipynb"))


def execute(path: Path, folder: Path) -> NotebookNode:
    """Return the notebook with the outputs it has when run in ``folder``.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    work, home = folder / "work", folder / "home"
    work.mkdir()
    home.mkdir()
    beside = os.fspath(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", "")]),  # where `actionspace` is
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TQDM_DISABLE": "1",  # a bar redraws itself; kept in a file it is hundreds of lines
        "PYTHONWARNINGS": "ignore:IProgress not found",  # of such a bar
        "ACTIONSPACE_CACHE": os.fspath(home / "cache"),
        "IPYTHONDIR": os.fspath(home / "ipython"),
        "MPLCONFIGDIR": os.fspath(home / "matplotlib"),
    }
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": os.fspath(work)}},
    )
    client.execute(env=environment)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _without_progress(cell.outputs)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _without_progress(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Leave out the lines that say how many videos were encoded how fast, as the bars do."""
    for output in outputs:
        if output.output_type == "stream":
            lines = output.text.splitlines(keepends=True)
            kept = [line for line in lines if not re.match(r"\d+ videos extracted, ", line)]
            output.text = "".join(kept).lstrip("\r\n")
    return [output for output in outputs if output.get("text", "-").strip()]


def main(names: list[str]) -> None:
    """Execute the notebooks named, or all."""
    for path in notebooks():
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
