"""The documents follow the code."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.experiment.reference import parameters_page

ROOT = Path(__file__).parents[1]


def test_parameters_page_is_current() -> None:
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert written == parameters_page(), "run `make docs`"


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_path_of_a_machine_is_in_a_document() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert not re.search(r"(?<![\w.])/(home|root|work|opt)/", page.read_text(encoding="utf-8")), page.name
