"""Errors of callbacks reach the person: data mistakes as a sentence, defects with a folded traceback."""

from __future__ import annotations

import logging

import pytest

from toolkit.ground.errors import ProductError
from toolkit.widgets.guard import ErrorBox


def test_mistake_in_data_is_one_sentence_without_traceback() -> None:
    box = ErrorBox()

    @box.guard
    def callback() -> None:
        raise ProductError("band <B2> of 31TCJ is cut short; fetch it again")

    callback()
    assert "band &lt;B2&gt; of 31TCJ is cut short; fetch it again" in box.value
    assert "Traceback" not in box.value


def test_defect_is_shown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    box = ErrorBox()
    with caplog.at_level(logging.ERROR):
        box.guard(lambda: [][1])()
    assert "IndexError" in box.value and "<details>" in box.value
    assert "IndexError" in caplog.text


def test_next_success_clears_the_box() -> None:
    box = ErrorBox()
    box.show("no")
    assert box.layout.display == ""
    assert box.guard(lambda value: value + 1)(1) == 2
    assert box.value == "" and box.layout.display == "none"


def test_what_no_person_asked_for_leaves_the_error_there() -> None:
    box = ErrorBox()
    box.show("31TCJ is the last tile")
    box.guard(lambda: None, clears=False)()
    assert "last tile" in box.value
    box.guard(lambda: None)()
    assert box.value == ""
