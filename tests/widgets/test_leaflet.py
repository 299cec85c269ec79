"""The view of a map."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.widgets.leaflet import FRANCE, WebMap, look_at, new_map

TOULOUSE = ((43.3, 1.0), (43.7, 1.6))


def test_a_map_is_moved_by_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place alone moves Leaflet by whole pixels of the zoom that is still shown."""
    view = new_map(FRANCE)
    sent: list[Any] = []
    monkeypatch.setattr(WebMap, "send_state", lambda _, key=(): sent.append(set(key)))
    look_at(view, [TOULOUSE])
    assert sent == [{"center", "zoom"}]
    assert view.center == pytest.approx((43.5, 1.3), abs=1e-2) and view.zoom == 10
    look_at(view, [])
    assert len(sent) == 1
