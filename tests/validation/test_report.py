from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import RunFolderError
from toolkit.ground_truth.cleaning_report import CleaningReport, CleaningStep
from toolkit.validation.metrics import Assessment
from toolkit.validation.report import Picture, Report, class_rows, render_report, write_report

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><text>α</text></svg>'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += f"{data} "


@pytest.fixture
def report(three) -> Report:
    matrix = ConfusionMatrix(np.array([[18, 3, 0], [0, 20, 1], [0, 0, 0]]), (3, 17, 200))
    steps = (
        CleaningStep("empty", "without geometry", "removed", (4, 8)),
        CleaningStep("split", "parts", "changed", ()),
    )
    return Report(
        name="oso <4> tiles",
        assessment=Assessment(matrix, unmapped=5, polygons=1234, without_pixel=(7,)),
        nomenclature=three,
        pictures=[Picture("Map", b"\x89PNG\r\n", "Made <today>"), Picture("Curves", SVG, wide=False)],
        parameters="name: oso <4> tiles\nseed: 0\n",
        cleaning=CleaningReport("parcels.gpkg", 1300, 1234, "EPSG:32631", steps, {3: 1234}, {"31TCJ": 1234}),
        provenance={"Toolkit": "0.1.0", "Seed": "0"},
    )


def test_the_headline_is_there(report):
    page = Outline(render_report(report))
    text = " ".join(page.text.split())
    assert "Overall accuracy 0.905" in text and "Kappa 0.814" in text and "Mean F-score 0.916" in text
    assert "2 of 3" in text and "the map holds no class, which are not counted: 5." in text
    assert "without a pixel centre of the map, which are not counted: 1." in text


def test_it_needs_nothing_beside_it(report):
    html = render_report(report)
    page = Outline(html)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 2 and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"url\(|@import|https?://", html)


def test_pictures_travel_unchanged(report):
    sources = [attrs["src"] for tag, attrs in Outline(render_report(report)).tags if tag == "img"]
    png, svg = (base64.b64decode(source.split(",", 1)[1]) for source in sources)
    assert png == b"\x89PNG\r\n" and svg.decode() == SVG
    assert sources[0].startswith("data:image/png;") and sources[1].startswith("data:image/svg+xml;")


def test_names_and_captions_cannot_break_the_page(report):
    html = render_report(report)
    assert "oso &lt;4&gt; tiles" in html and "Made &lt;today&gt;" in html and "Water &amp; &lt;mud&gt;" in html
    assert "<4>" not in html and "<mud>" not in html


def test_every_class_has_its_row_and_colour(report):
    html = render_report(report)
    page = Outline(html)
    chips = [attrs["style"] for tag, attrs in page.tags if attrs.get("class") == "chip"]
    assert chips == ["background:#009c00", "background:#0000ff", "background:#ff5500"]
    assert "in the map only" in page.text and "Without reference pixels: Corn." in page.text


def test_class_rows_say_what_a_class_is_taken_for(report):
    forest, water, corn = class_rows(report.assessment, report.nomenclature)
    assert forest["taken_for"] == [("Water & <mud>", pytest.approx(3 / 21))]
    assert water["taken_for"] == [("Corn", pytest.approx(1 / 21))]
    assert corn["taken_for"] == [] and corn["pixels"] == 0
    assert forest["precision"] == 1 and forest["recall"] == pytest.approx(18 / 21)


def test_parameters_cleaning_and_provenance_are_told(report):
    text = " ".join(Outline(render_report(report)).text.split())
    assert "seed: 0" in text and "1,300 features, 1,234 polygons kept, EPSG:32631" in text
    assert "without geometry removed 2" in text and "Toolkit 0.1.0" in text


def test_sections_without_content_are_left_out(report):
    bare = Report(report.name, Assessment(report.assessment.matrix), report.nomenclature)
    text = Outline(render_report(bare)).text
    assert not [word for word in ("Cleaning", "Parameters", "Provenance", "Left out") if word in text]


def test_left_out_metrics_are_told(report):
    left_out = Assessment(ConfusionMatrix(np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]]), (3, 17, 200)), polygons=2)
    text = " ".join(Outline(render_report(Report("a", report.assessment, report.nomenclature, left_out))).text.split())
    assert "Left out of the training area (2 polygons, 4 pixels): overall accuracy 0.750" in text


def test_the_file_appears_whole(report, tmp_path):
    write_report(tmp_path / "validation" / "report.html", report)
    assert (tmp_path / "validation" / "report.html").read_text(encoding="utf-8") == render_report(report)
    assert len(list((tmp_path / "validation").iterdir())) == 1
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_report(tmp_path / "validation" / "report.html" / "report.html", report)


def test_it_prints_and_follows_the_dark_scheme(report):
    html = render_report(report)
    assert "@media print" in html and "prefers-color-scheme: dark" in html
