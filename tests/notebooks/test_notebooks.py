"""How notebooks are written (the run itself, cell by cell, is nbval's), and that they hold for another seed without a warning."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
PARAMETER = re.compile(r"^\w+: [\w\[\], ]+ = .+?  # \S.*$")


def cells(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def test_the_notebooks_are_there():
    assert {"00_path_of_a_tick.ipynb", "10_live_market.ipynb", "20_data_quality.ipynb", "30_options.ipynb"} <= set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_first_cell_asks_a_question_and_names_data_and_run_time(name):
    first = source(cells(name)[0])
    assert first.startswith("# ")
    assert all(word in first for word in ("**Question.**", "**Data.**", "**Run time.**"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_second_cell_holds_the_parameters_each_with_type_default_and_help(name):
    second = cells(name)[1]
    assert second["metadata"]["tags"] == ["parameters"]
    lines = source(second).splitlines()
    assert [line for line in lines if not PARAMETER.match(line)] == []
    assert sum("parameters" in cell["metadata"].get("tags", ()) for cell in cells(name)) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_papermill_reads_every_parameter(name):
    papermill = pytest.importorskip("papermill")
    known = papermill.inspect_notebook(str(FOLDER / name))
    assert len(known) == len(source(cells(name)[1]).splitlines())
    assert all(item["inferred_type_name"] != "None" and item["help"] for item in known.values())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_last_cell_says_what_was_found_what_would_falsify_it_and_what_the_data_could_not_show(name):
    last = source(cells(name)[-1])
    assert all(words in last for words in ("## What was found", "**What would falsify it.**", "**What this data could not show.**"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_are_short_and_read_no_clock(name):
    code = [source(cell) for cell in cells(name) if cell["cell_type"] == "code"]
    assert max(len(text.splitlines()) for text in code) <= 30  # a screen
    assert [text for text in code if re.search(r"\bnow\(\)|\btoday\(\)|time\.time\(|\btime\.sleep\(", text.split("#")[0])] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # papermill's and nbclient's own; what the notebook warns of is looked for below
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_holds_for_another_seed_and_warns_of_nothing(name, tmp_path):
    papermill = pytest.importorskip("papermill")
    path = tmp_path / name
    papermill.execute_notebook(
        str(FOLDER / name), str(path), {"seed": 11}, cwd=str(FOLDER), kernel_name="python3", progress_bar=False, log_output=False
    )
    run = json.loads(path.read_text(encoding="utf-8"))["cells"]
    said = [source_of(output) for cell in run for output in cell.get("outputs", ()) if output.get("name") == "stderr"]
    assert said == []


def source_of(output):
    return "".join(output["text"])
