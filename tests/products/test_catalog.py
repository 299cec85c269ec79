from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from toolkit.ground.errors import CatalogError
from toolkit.products.catalog import Catalog

REPOSITORY = Path(__file__).parents[2]


def content() -> dict:
    return {
        "meta": {"version": 1, "name": "mine", "root": "data"},
        "s2": {
            "data_type": "RasterDataset",
            "uri": "theia/{tile}",
            "driver": {"name": "theia"},
            "metadata": {"license": "Etalab-2.0", "reference": "theia-land.fr", "note": "more is allowed here"},
        },
        "polygons": {
            "data_type": "GeoDataFrame",
            "uri": "parcels.gpkg",
            "metadata": {"license": "CC-BY-4.0", "reference": "me"},
        },
    }


def write(folder: Path, entries: dict) -> Path:
    path = folder / "data_catalog.yml"
    path.write_text(yaml.safe_dump(entries))
    return path


def test_finds_products_of_a_tile_and_vectors(tmp_path: Path, theia: Callable[..., Path]) -> None:
    theia(tmp_path / "data" / "theia" / "31TCJ", "2018-01-03")
    theia(tmp_path / "data" / "theia" / "31TDJ", "2018-01-03", tile="31TDJ")
    (tmp_path / "data" / "parcels.gpkg").touch()
    catalog = Catalog.load(write(tmp_path, content()))
    assert [one.tile for one in catalog.products("s2", "T31TCJ")] == ["31TCJ"]
    assert catalog.tiles("s2") == ["31TCJ", "31TDJ"]
    assert catalog.vector("polygons") == (tmp_path / "data" / "parcels.gpkg").resolve()
    assert "Etalab" in catalog._repr_html_()


def test_the_driver_decides_what_is_found_and_how(
    tmp_path: Path, theia: Callable[..., Path], sen2cor: Callable[..., Path]
) -> None:
    theia(tmp_path / "data" / "both" / "31TCJ", "2018-01-03")
    sen2cor(tmp_path / "data" / "both" / "31TCJ", "2018-01-13")
    sen2cor(tmp_path / "data" / "both" / "31TDJ", "2018-01-13", tile="31TDJ")
    entries = content()
    entries["s2"]["uri"] = "both/{tile}"
    entries["esa"] = {**entries["s2"], "driver": {"name": "sen2cor", "scl": [0, 11]}}
    catalog = Catalog.load(write(tmp_path, entries))
    assert (catalog.tiles("s2"), catalog.tiles("esa")) == (["31TCJ"], ["31TCJ", "31TDJ"])
    (product,) = catalog.products("esa", "31TCJ")
    assert product.name.startswith("S2A_MSIL2A_20180113")
    assert product.masks["SCL"].values == {0, 11}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["s2"].update(drivr={}), ["s2", "drivr is not a parameter", "did you mean 'driver'"]),
        (lambda c: c["s2"]["metadata"].pop("license"), ["s2", "metadata.license is missing"]),
        (lambda c: c["s2"].update(data_type="Raster"), ["data_type 'Raster'", "RasterDataset"]),
        (lambda c: c["s2"].update(uri="theia/{year}"), ["{year}", "{tile}"]),
        (lambda c: c["s2"].update(uri="theia/{tile"), ["'theia/{tile' holds {tile;", "only placeholder is {tile}"]),
        (lambda c: c["s2"].update(uri="theia/tile}"), ["holds };"]),
        (lambda c: c["s2"].update(uri="theia/{tile!q}"), ["holds {tile!q}"]),
        (lambda c: c["s2"].update(uri="{tile}/{tile.__class__.__mro__}"), ["holds {tile.__class__.__mro__}"]),
        (lambda c: c["polygons"].update(uri="{tile}.gpkg"), ["polygons", "holds {tile}", "a GeoDataFrame is one file"]),
        (lambda c: c["s2"]["driver"].update(name="thea"), ["driver.name = 'thea'", "'theia', 'sen2cor'", "'theia'?"]),
        (lambda c: c["s2"].update(driver={}), ["driver.name is missing"]),
        (lambda c: c["s2"]["driver"].update(scl=[0]), ["driver.scl is not a parameter"]),
        (lambda c: c["s2"].update(driver={"name": "sen2cor", "scl": [12]}), ["driver.scl.0 = 12", "less than 12"]),
        (lambda c: c["s2"].update(driver={"name": "sen2cor", "scl": []}), ["driver.scl = []", "at least 1"]),
        (lambda c: c.update(s3="nothing"), ["s3", "must hold"]),
    ],
)
def test_bad_entry_is_refused(tmp_path: Path, change: Callable, words: list[str]) -> None:
    entries = content()
    change(entries)
    with pytest.raises(CatalogError) as caught:
        Catalog.load(write(tmp_path, entries))
    for word in ["data_catalog.yml", *words]:
        assert word in str(caught.value)


def test_unknown_source_wrong_kind_and_absent_folder(tmp_path: Path) -> None:
    catalog = Catalog.load(write(tmp_path, content()))
    with pytest.raises(CatalogError, match="did you mean 's2'"):
        catalog.products("s22", "31TCJ")
    with pytest.raises(CatalogError, match="a GeoDataFrame is needed"):
        catalog.vector("s2")
    with pytest.raises(CatalogError, match="does not exist; mend its `uri`"):
        catalog.products("s2", "31TCJ")


def test_absent_file_bad_yaml_and_no_code_in_yaml(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="does not exist"):
        Catalog.load(tmp_path / "nowhere.yml")
    path = tmp_path / "bad.yml"
    path.write_text("meta: [unclosed")
    with pytest.raises(CatalogError, match="not valid YAML"):
        Catalog.load(path)
    path.write_text("meta: !!python/object/apply:os.system ['touch hacked']")
    with pytest.raises(CatalogError, match="not valid YAML"):
        Catalog.load(path)


def test_a_catalog_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data_catalog.yml"
    path.write_bytes("meta: {name: données}".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"data_catalog\.yml is not UTF-8 text.*save it as UTF-8"):
        Catalog.load(path)


def test_what_a_catalog_says_is_shown_as_text(tmp_path: Path) -> None:
    entries = content()
    entries["<b>s2"] = entries.pop("s2")
    entries["<b>s2"].update(uri="<i>theia", metadata={"license": "<script>", "reference": "me"})
    html = Catalog.load(write(tmp_path, entries))._repr_html_()
    assert "<td>&lt;b&gt;s2</td><td>RasterDataset</td><td>&lt;i&gt;theia</td><td>&lt;script&gt;</td>" in html


def test_the_repository_s_own_catalog_is_valid() -> None:
    catalog = Catalog.load(REPOSITORY / "data_catalog.yml")
    assert {"s2_demo", "demo_polygons"} <= set(catalog.sources)
