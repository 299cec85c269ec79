"""Write polygons batch after batch into a GeoPackage or a GeoParquet file, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.writing import aside

Write = Callable[[gpd.GeoDataFrame], None]

LAYER = "classes"
"""Name of the layer in a GeoPackage."""


@contextmanager
def vector_writer(path: Path, crs: str) -> Iterator[Write]:
    """A function that adds polygons to a new file, which is in its place when the block ends well.

    Args:
        path: its suffix says the format: `.gpkg`, or `.parquet` (GeoParquet 1.1, needs pyarrow).

    Raises:
        ParameterError: another suffix, or pyarrow is not installed.
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    writers = {".gpkg": _geopackage, ".parquet": _geoparquet}
    if path.suffix not in writers:
        raise ParameterError(f"{path} is neither a GeoPackage (.gpkg) nor a GeoParquet file (.parquet)")
    with aside(path) as part:
        try:
            with writers[path.suffix](part, crs) as write:
                yield write
        except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError) as error:
            raise RunFolderError(f"{path} cannot be written ({error}); is the disk full?") from None


@contextmanager
def _geopackage(part: Path, crs: str) -> Iterator[Write]:
    part.unlink(missing_ok=True)

    def write(frame: gpd.GeoDataFrame) -> None:
        pyogrio.write_dataframe(frame, part, layer=LAYER, driver="GPKG", geometry_type="Polygon", append=part.exists())

    yield write


@contextmanager
def _geoparquet(part: Path, crs: str) -> Iterator[Write]:
    """GeoParquet: geometry as WKB, and what it is in the metadata under `geo` (https://geoparquet.org)."""
    try:
        import pyarrow as pa  # type: ignore[import-not-found,import-untyped]
        from pyarrow import parquet  # type: ignore[import-not-found,import-untyped]
    except ImportError:
        raise ParameterError(
            "GeoParquet needs pyarrow, which is not installed: `pip install pyarrow`, or gpkg"
        ) from None
    opened: list[Any] = []

    def write(frame: gpd.GeoDataFrame) -> None:
        table = pa.Table.from_pandas(frame.to_wkb(), preserve_index=False)
        if not opened:
            column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": frame.crs.to_json_dict()}
            geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
            schema = table.schema.with_metadata({"geo": json.dumps(geo)})
            opened.append(parquet.ParquetWriter(part, schema, compression="zstd"))
        opened[0].write_table(table.replace_schema_metadata(opened[0].schema.metadata))

    try:
        yield write
    finally:
        for writer in opened:
            writer.close()
