"""Radar images of the demo: named and held as S1Tiling does, and as bright as the literature says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from toolkit.demo import Scene, write_demo
from toolkit.demo.radar import pass_days, render_radar, write_radar
from toolkit.demo.tiles import MARGIN, TILES


@pytest.fixture(scope="module")
def year(scene: Scene) -> dict[str, np.ndarray]:
    """Linear power of a tile on every day, (date, y, x), by polarisation."""
    images = [render_radar(scene, "31TCJ", day) for day in pass_days()]
    return {name: np.stack([one[name] for one in images]) for name in images[0]}


def classes(scene: Scene) -> np.ndarray:
    row, col = (start - MARGIN for start in scene.layout.window("31TCJ"))
    return scene.class_map[row : row + scene.layout.size, col : col + scene.layout.size]


def test_files_are_those_of_the_grid_and_of_the_seed(tmp_path: Path, scene: Scene) -> None:
    paths = write_radar(tmp_path / "s1", scene)
    assert len(paths) == len(TILES) * len(pass_days()) * 2
    first = tmp_path / "s1" / "31TCJ" / "s1a_31TCJ_vv_DES_110_20171205t055813.tif"
    with rasterio.open(first) as file:
        assert (file.dtypes, file.crs.to_epsg()) == (("float32",), 32631)
        assert file.transform == scene.layout.tile("31TCJ").affine
        values = file.read(1)
    again = write_radar(tmp_path / "again", scene)
    assert [one.read_bytes() for one in paths] == [one.read_bytes() for one in again]
    assert np.allclose(values, render_radar(scene, "31TCJ", pass_days()[0])["vv"], atol=1e-5) and (values > 0).all()


def test_levels_are_those_of_the_literature(scene: Scene, year: dict[str, np.ndarray]) -> None:
    here = classes(scene)
    vv, vh = (10 * np.log10(year[name].mean(axis=0)) for name in ("vv", "vh"))
    assert (vv > vh).mean() > 0.99 and -18 < np.median(vv) < -6 and -25 < np.median(vh) < -12
    assert not (here == 23).any() or vv[here == 23].mean() < -15
    trees = np.isin(here, (16, 17))
    assert trees.any() and -12 < vv[trees].mean() < -6 and -17 < vh[trees].mean() < -11


def test_speckle_has_the_looks_of_ground_range_products(scene: Scene, year: dict[str, np.ndarray]) -> None:
    still = np.isin(classes(scene), (1, 3, 16, 17))  # whose backscatter hardly changes through the year
    values = year["vv"][:, still]
    looks = (values.mean(axis=0) / values.std(axis=0)) ** 2
    assert 3.4 < np.median(looks) < 5.4


def test_fields_rise_with_their_cover(scene: Scene, year: dict[str, np.ndarray]) -> None:
    """Of summer crops in cross-polarisation, from bare soil to a closed canopy."""
    summer = np.isin(classes(scene), (8, 9, 10))
    days = (pass_days() - np.datetime64("2018-01-01")).astype(int)
    spring, august = (
        year["vh"][(days > a) & (days < b)].mean(axis=0)[summer].mean() for a, b in ((100, 130), (195, 225))
    )
    assert summer.any() and august > 1.3 * spring


def test_it_comes_only_when_it_is_asked_for(tmp_path: Path) -> None:
    plain = write_demo(tmp_path / "plain", seed=1, size=40, dates=2)
    both = write_demo(tmp_path / "both", seed=1, size=40, dates=2, radar=True)
    assert not (plain / "s1").exists() and not (plain / "experiment_s1.yml").exists()
    for path in (
        one for one in plain.rglob("*") if one.is_file() and one.name not in ("demo.json", "data_catalog.yml")
    ):
        assert (both / path.relative_to(plain)).read_bytes() == path.read_bytes()
    (both / "runs").mkdir()
    assert write_demo(both, seed=1, size=40, dates=2, radar=True) == both
    write_demo(both, seed=1, size=40, dates=2)
    assert not (both / "s1").exists() and not (both / "experiment_s1.yml").exists() and (both / "runs").exists()
