"""The folder on disk: Theia's layout, invariants of its files, and whole or not at all."""

from __future__ import annotations

import json
import os
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from toolkit.demo import Scene, write_demo
from toolkit.demo import write as writing
from toolkit.demo.tiles import TILES
from toolkit.ground.bands import BANDS
from toolkit.ground.errors import ParameterError, RunFolderError

MASKS = ("CLM", "SAT", "EDG", "MG2")


def products(folder: Path) -> list[Path]:
    return sorted((folder / "theia").glob("*/SENTINEL2*"))


def test_a_folder_for_each_product_under_its_tile(demo_folder: Path, scene: Scene) -> None:
    expected = {f"{one.tile}/{one.name}" for one in scene.acquisitions}
    assert {str(path.relative_to(demo_folder / "theia")) for path in products(demo_folder)} == expected


def test_every_product_has_the_files_of_theia(demo_folder: Path) -> None:
    for product in products(demo_folder):
        names = {str(path.relative_to(product)) for path in product.rglob("*") if path.is_file()}
        bands = {f"{product.name}_FRE_{band}.tif" for band in BANDS}
        masks = {f"MASKS/{product.name}_{mask}_{group}.tif" for mask in MASKS for group in ("R1", "R2")}
        assert names == bands | masks | {f"{product.name}_MTD_ALL.xml"}


def test_bands_are_int16_without_a_nodata_tag_on_the_tiles_grid(demo_folder: Path, scene: Scene) -> None:
    product = products(demo_folder)[0]
    grid = scene.layout.tile(product.parent.name)
    for band, about in BANDS.items():
        with rasterio.open(product / f"{product.name}_FRE_{band}.tif") as file:
            assert file.dtypes == ("int16",) and file.nodata is None and file.crs.to_epsg() == 32631
            assert file.res == (about.resolution, about.resolution)
            assert file.shape == (60 * 10 // about.resolution,) * 2
            assert (file.bounds.left, file.bounds.top) == (grid.affine.c, grid.affine.f)
            assert file.profile["tiled"] and file.compression.name == "deflate"


def test_masks_are_uint8_bits(demo_folder: Path) -> None:
    allowed = {"CLM": 0b10111111, "SAT": 0b00111111, "EDG": 0b1, "MG2": 0b1111}
    seen = dict.fromkeys(MASKS, 0)
    for product in products(demo_folder):
        for mask in MASKS:
            with rasterio.open(product / "MASKS" / f"{product.name}_{mask}_R1.tif") as file:
                assert file.dtypes == ("uint8",) and file.nodata is None
                seen[mask] |= int(np.bitwise_or.reduce(file.read(1), axis=None))
    for mask, bits in seen.items():
        assert bits & ~allowed[mask] == 0, mask
    assert seen["EDG"] == 1 and seen["CLM"] & 0b100011 == 0b100011


def test_metadata_has_the_paths_that_readers_look_for(demo_folder: Path) -> None:
    for product in products(demo_folder):
        root = ElementTree.parse(product / f"{product.name}_MTD_ALL.xml").getroot()
        assert root.tag == "Muscate_Metadata_Document"
        assert root.findtext("Radiometric_Informations/REFLECTANCE_QUANTIFICATION_VALUE") == "10000"
        special = root.find("Radiometric_Informations/Special_Values_List/SPECIAL_VALUE[@name='nodata']")
        assert special is not None and special.text == "-10000"
        assert root.findtext("Product_Characteristics/PRODUCT_ID") == product.name
        day = root.findtext("Product_Characteristics/ACQUISITION_DATE", "")
        assert day.endswith("Z") and day[:10].replace("-", "") == product.name[11:19]
        assert root.findtext("Dataset_Identification/GEOGRAPHICAL_ZONE") == f"T{product.parent.name}"
        assert 0 <= float(root.findtext(".//QUALITY_INDEX[@name='CloudPercent']", "-1")) <= 100
        assert root.findtext("Geoposition_Informations//HORIZONTAL_CS_CODE") == "32631"


def test_metadata_agrees_with_the_images(demo_folder: Path) -> None:
    product = products(demo_folder)[-1]
    root = ElementTree.parse(product / f"{product.name}_MTD_ALL.xml").getroot()
    for group, band in (("R1", "B2"), ("R2", "B5")):
        place = root.find(f".//Group_Geopositioning[@group_id='{group}']")
        with rasterio.open(product / f"{product.name}_FRE_{band}.tif") as file:
            told = [float(place.findtext(name)) for name in ("ULX", "ULY", "XDIM", "YDIM", "NROWS", "NCOLS")]
            assert told == [file.bounds.left, file.bounds.top, file.res[0], -file.res[1], *file.shape]
    listed = [entry.text for entry in root.iter("IMAGE_FILE")] + [entry.text for entry in root.iter("MASK_FILE")]
    assert all((product / name).is_file() for name in listed)


def test_truth_is_the_class_map_with_its_colours(demo_folder: Path, scene: Scene) -> None:
    with rasterio.open(demo_folder / "truth.tif") as file:
        assert np.array_equal(file.read(1), scene.class_map)
        assert file.bounds == scene.layout.union.boundingbox.bbox
        assert file.colormap(1)[23] == (0, 0, 255, 255)


def test_catalog_and_experiment_fit_together(demo_folder: Path) -> None:
    catalog = yaml.safe_load((demo_folder / "data_catalog.yml").read_text())
    experiment = yaml.safe_load((demo_folder / "experiment.yml").read_text())
    assert experiment["catalog"] == "data_catalog.yml"
    images, polygons = catalog[experiment["series"]["source"]], catalog[experiment["ground_truth"]["source"]]
    assert images["driver"] == {"name": "theia"} and images["metadata"]["license"]
    for tile in experiment["series"]["tiles"]:
        assert list((demo_folder / images["uri"].format(tile=tile)).glob("SENTINEL2*"))
    assert (demo_folder / polygons["uri"]).is_file()
    assert tuple(experiment["series"]["tiles"]) == TILES


def test_two_writes_give_the_same_bytes(demo_folder: Path, tmp_path: Path, small: dict[str, int]) -> None:
    again = write_demo(tmp_path / "again", **small, workers=1)
    files = sorted(path.relative_to(demo_folder) for path in demo_folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for name in files:
        assert (demo_folder / name).read_bytes() == (again / name).read_bytes(), name


def test_the_same_demo_is_not_written_again(demo_folder: Path, small: dict[str, int]) -> None:
    before = (demo_folder / "truth.tif").stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    write_demo(demo_folder, **small, progress=lambda done, total: calls.append((done, total)))
    assert calls == [] and (demo_folder / "truth.tif").stat().st_mtime_ns == before


def test_another_demo_takes_the_place_of_a_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    write_demo(folder, seed=1, size=40, dates=2)
    write_demo(folder, seed=2, size=40, dates=2)
    assert json.loads((folder / "demo.json").read_text())["seed"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_progress_counts_every_product(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_demo(tmp_path / "demo", seed=1, size=40, dates=2, progress=lambda done, total: calls.append((done, total)))
    total = len(products(tmp_path / "demo"))
    assert calls[0] == (0, total) and calls[-1] == (total, total)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_foreign_folder_is_left_alone(tmp_path: Path, small: dict[str, int]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"something else than a demo; name another folder"):
        write_demo(tmp_path, **small)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_a_folder(tmp_path: Path, small: dict[str, int]) -> None:
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(RunFolderError, match="something else than a demo"):
        write_demo(tmp_path / "demo", **small)
    assert (tmp_path / "demo").read_text() == "a file"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    assert (write_demo(tmp_path / "demo", seed=1, size=40, dates=2) / "truth.tif").is_file()


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, small: dict[str, int]) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "demo", **small, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_demo_before_it(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", seed=1, size=40, dates=2)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "demo", seed=2, size=40, dates=2, progress=interrupt)
    assert json.loads((tmp_path / "demo" / "demo.json").read_text())["seed"] == 1


def test_what_a_killed_run_left_is_swept_after_an_hour(tmp_path: Path) -> None:
    for name, age in ((".demo.11.part", 7200), (".demo.12.part", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_demo(tmp_path / "demo", seed=1, size=40, dates=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo.12.part", "demo"]


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_product", full)
    with pytest.raises(RunFolderError, match="the disk is full; free about 200 MB"):
        write_demo(tmp_path / "demo", seed=1, size=40, dates=2)
    assert list(tmp_path.iterdir()) == []


def test_values_out_of_bounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="size = 10"):
        write_demo(tmp_path / "demo", size=10)
    assert list(tmp_path.iterdir()) == []


def test_another_demo_keeps_what_is_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    write_demo(folder, seed=1, size=40, dates=2)
    (folder / "runs" / "demo").mkdir(parents=True)
    (folder / "runs" / "demo" / "model.txt").write_text("hours of training")
    (folder / "notes.md").write_text("years of work")
    (folder / "truth.tif.aux.xml").write_text("statistics of the truth before")
    write_demo(folder, seed=2, size=40, dates=3)
    assert (folder / "runs" / "demo" / "model.txt").read_text() == "hours of training"
    assert (folder / "notes.md").read_text() == "years of work"
    assert not (folder / "truth.tif.aux.xml").exists()
    fresh = write_demo(tmp_path / "fresh", seed=2, size=40, dates=3)
    assert [path.name for path in products(folder)] == [path.name for path in products(fresh)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "fresh"]


def test_what_a_demo_is_made_of_is_written_down(demo_folder: Path) -> None:
    assert sorted(path.name for path in demo_folder.iterdir()) == sorted(set(writing.OWN) - {"sen2cor"})


@pytest.mark.parametrize("stands", [True, False])
def test_users_files_come_back_from_a_demo_that_was_killed_while_it_took_its_place(
    tmp_path: Path, stands: bool
) -> None:
    folder, old = tmp_path / "demo", tmp_path / ".demo.11.old"
    write_demo(folder, seed=1, size=40, dates=2)
    (folder / "runs").mkdir()
    folder.rename(old)
    if stands:
        write_demo(folder, seed=2, size=40, dates=2)
    os.utime(old, (time.time() - 7200,) * 2)
    write_demo(folder, seed=3, size=40, dates=2)
    assert (folder / "runs").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_demo_that_cannot_take_its_place_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_demo(tmp_path / "demo", seed=1, size=40, dates=2)
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_demo(folder, seed=2, size=40, dates=2)
    assert json.loads((folder / "demo.json").read_text())["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
