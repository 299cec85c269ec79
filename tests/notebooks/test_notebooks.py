"""Every notebook is thin, has no outputs, and runs from top to bottom on a tiny demo without a click."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAY_DEFINE = {"08"}
"""Numbers of the notebooks that may define functions: the one on extending."""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@each
def test_has_no_outputs(path: Path) -> None:
    for cell in code_cells(read(path)):
        assert cell.outputs == [] and cell.execution_count is None, "clear the outputs before saving"


@each
def test_is_thin(path: Path) -> None:
    cells = code_cells(read(path))
    lines = [[line for line in cell.source.splitlines() if line.strip()] for cell in cells]
    assert len(cells) <= 12
    assert max(map(len, lines)) <= 8
    assert sum(map(len, lines)) <= 45
    if path.name[:2] not in MAY_DEFINE:
        assert not any(isinstance(node, ast.FunctionDef) for cell in cells for node in ast.walk(ast.parse(cell.source)))


@each
def test_names_the_experiment_in_one_tagged_cell_and_says_what_comes_of_it(path: Path) -> None:
    notebook = read(path)
    (tagged,) = [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert "EXPERIMENT" in tagged.source
    assert notebook.cells[0].source.startswith("# ")
    assert "What you will have at the end" in notebook.cells[0].source
    assert any("What was written where" in cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.fixture
def run(tiny_demo: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a notebook on the tiny demo; gives it with its outputs."""
    monkeypatch.setenv("LANDCOVER_EXPERIMENT", str(tiny_demo))

    def run(name: str) -> Any:
        notebook = read(FOLDER / name)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
        return notebook

    return run


def outputs_of(notebook: Any, start: str) -> list[Any]:
    """What the cell that begins with `start` left in the notebook."""
    (cell,) = [cell for cell in code_cells(notebook) if cell.source.startswith(start)]
    assert not [output for output in cell.outputs if output.output_type == "error"]
    return [output.data for output in cell.outputs if "data" in output]


WIDGET = "application/vnd.jupyter.widget-view+json"


def test_quickstart(run: Any, tiny_demo: Path) -> None:
    notebook = run("00_quickstart.ipynb")
    assert WIDGET in outputs_of(notebook, "widgets.form")[0]
    assert "image/png" in outputs_of(notebook, "counts = sample")[0]
    curves, result = outputs_of(notebook, "train(")
    assert "image/png" in curves and WIDGET not in curves, "a picture must stay in the saved notebook"
    assert "TrainingResult" in result["text/plain"]
    assert WIDGET in outputs_of(notebook, "classify(")[0]
    assert "image/png" in outputs_of(notebook, "figures.confusion")[0]
    folder = tiny_demo.parent / "runs" / "demo"
    for written in ("mapping/classes.tif", "learning/model/model.json", "validation/report.html", "manifest.json"):
        assert (folder / written).is_file(), written


def test_spatial_cross_validation(run: Any, tiny_demo: Path) -> None:
    notebook = run("07_spatial_cross_validation.ipynb")
    assert "left out" in outputs_of(notebook, "folds = cross_validate")[0]["text/html"]
    assert "image/png" in outputs_of(notebook, "figures.folds")[0]
    assert (tiny_demo.parent / "runs" / "demo" / "cross_validation" / "metrics.json").is_file()


def test_tiles(run: Any, tiny_demo: Path) -> None:
    notebook = run("01_tiles.ipynb")
    assert WIDGET in outputs_of(notebook, "widgets.TilesPanel")[0]
    assert "clear_share" in outputs_of(notebook, "from toolkit.experiment.acquisitions")[0]["text/html"]
    assert "image/png" in outputs_of(notebook, "figures.acquisitions_figure")[0]
    assert not (tiny_demo.parent / "runs").exists(), "looking writes nothing"


def test_features(run: Any, tiny_demo: Path) -> None:
    notebook = run("02_features.ipynb")
    assert WIDGET in outputs_of(notebook, "widgets.FeaturesPanel")[0]
    assert "season_start_NDVI" in outputs_of(notebook, "experiment.set(")[0]["text/plain"]
    assert "image/png" in outputs_of(notebook, "from toolkit.experiment.inspection")[0]
    assert not (tiny_demo.parent / "runs").exists(), "looking writes nothing"


def test_samples(run: Any, tiny_demo: Path) -> None:
    notebook = run("03_samples.ipynb")
    assert WIDGET in outputs_of(notebook, "widgets.SamplingPanel")[0]
    assert "image/png" in outputs_of(notebook, "figures.class_counts_figure")[0]
    assert (tiny_demo.parent / "runs" / "demo" / "samples" / "class_counts.csv").is_file()


def test_training(run: Any, tiny_demo: Path) -> None:
    notebook = run("04_training.ipynb")
    assert WIDGET in outputs_of(notebook, "widgets.NetworkPanel")[0]
    assert "TrainingResult" in outputs_of(notebook, "result = train")[0]["text/plain"]
    assert "image/png" in outputs_of(notebook, "figures.curves_figure")[0]
    assert (tiny_demo.parent / "runs" / "demo" / "job" / "job.json").is_file(), "the training was a job"


def test_maps(run: Any, tiny_demo: Path) -> None:
    notebook = run("05_maps.ipynb")
    assert "31TCJ" in outputs_of(notebook, "plan(")[0]["text/html"]
    assert WIDGET in outputs_of(notebook, "panel = ")[0]
    assert "image/png" in outputs_of(notebook, "figures.map_before_after")[0]
    assert "hectares" in outputs_of(notebook, "import geopandas")[0]["text/html"]
    folder = tiny_demo.parent / "runs" / "demo"
    assert (folder / "job" / "job.json").is_file(), "the classification was a job"
    for written in ("classes.tif", "postprocessed/classes.tif", "classes.gpkg"):
        assert (folder / "mapping" / written).is_file(), written


def test_map_and_validation(run: Any, tiny_demo: Path) -> None:
    notebook = run("06_map_and_validation.ipynb")
    assert WIDGET in outputs_of(notebook, "class_map = ")[0]
    assert "image/png" in outputs_of(notebook, "class_map.figure")[0]
    assert "image/png" in outputs_of(notebook, "figures.confusion_figure")[0]
    assert (tiny_demo.parent / "runs" / "demo" / "validation" / "report.html").is_file()


def test_tuning(run: Any, tiny_demo: Path) -> None:
    notebook = run("08_tuning.ipynb")
    assert WIDGET in outputs_of(notebook, "panel = ")[0]
    assert "TuningResult" in outputs_of(notebook, "result = tune")[0]["text/plain"]
    assert "image/png" in outputs_of(notebook, "figures.tuning_figure")[0]
    assert (tiny_demo.parent / "runs" / "demo" / "tuning" / "best.json").is_file()


def test_every_notebook_is_run_here() -> None:
    """A new notebook needs a test of its own beside these."""
    run_here = {
        "00_quickstart",
        "01_tiles",
        "02_features",
        "03_samples",
        "04_training",
        "05_maps",
        "06_map_and_validation",
        "07_spatial_cross_validation",
        "08_tuning",
    }
    assert {path.stem for path in NOTEBOOKS} == run_here
