"""Writes an image as Theia delivers it: a folder of GeoTIFF bands, masks and an XML.

Format: MUSCATE Level-2A products of Sentinel-2 (Theia, CNES): integers of reflectance x 10000, -10000 for no data,
which the files do not declare; bit masks; `MTD_ALL.xml`. Of a whole product, the surface reflectance without
correction of slopes (SRE), the atmosphere (ATB), the quicklook and the masks DFP, IAB and DTF are left out.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

from toolkit.demo.passes import Acquisition
from toolkit.demo.scene import Image
from toolkit.demo.tiles import EPSG
from toolkit.ground.bands import BANDS, NODATA, REFLECTANCE_SCALE


def write_product(folder: Path, acquisition: Acquisition, image: Image, grid: GeoBox) -> Path:
    """Write the product's folder into `folder`.

    Args:
        grid: 10 m grid of the tile.

    Returns:
        The product's folder.

    Raises:
        OSError: the disk is full or the folder cannot be written (`rasterio.errors.RasterioIOError` among them).
    """
    product = folder / acquisition.name
    (product / "MASKS").mkdir(parents=True)
    for band, values in image.bands.items():
        write_raster(product / f"{product.name}_FRE_{band}.tif", values, _grid_of(grid, BANDS[band].resolution or 10))
    for name, values in image.masks.items():
        write_raster(
            product / "MASKS" / f"{product.name}_{name}.tif", values, _grid_of(grid, 10 if name.endswith("R1") else 20)
        )
    (product / f"{product.name}_MTD_ALL.xml").write_text(metadata(acquisition, image, grid), encoding="utf-8")
    return product


def write_raster(
    path: Path, values: np.ndarray, grid: GeoBox, colours: dict[int, tuple[int, int, int, int]] | None = None
) -> None:
    """Write an array (y, x) as a tiled, compressed GeoTIFF without a nodata tag."""
    height, width = values.shape
    block = min(512, 16 * -(-max(height, width) // 16))
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype, crs=f"EPSG:{EPSG}",
        transform=grid.affine, tiled=True, blockxsize=block, blockysize=block, compress="deflate", zlevel=5,
        predictor=2 if values.dtype == np.int16 else 1,
    ) as file:  # fmt: skip
        file.write(values, 1)
        if colours:
            file.write_colormap(1, colours)


def metadata(acquisition: Acquisition, image: Image, grid: GeoBox) -> str:
    """The text of `MTD_ALL.xml`."""
    satellite = f"SENTINEL2{acquisition.overpass.satellite}"
    name = escape(acquisition.name)
    moment = f"{acquisition.time}Z"
    groups = "\n".join(_geopositioning(group, grid, pixel) for group, pixel in (("R1", 10), ("R2", 20)))
    bands = "\n".join(
        f'        <IMAGE_FILE band_id="{band}">{name}_FRE_{band}.tif</IMAGE_FILE>' for band in image.bands
    )
    masks = "\n".join(
        f'        <MASK_FILE group_id="{mask[-2:]}">MASKS/{name}_{mask}.tif</MASK_FILE>' for mask in image.masks
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Muscate_Metadata_Document>
  <Metadata_Identification>
    <METADATA_FORMAT version="1.20">METADATA_MUSCATE</METADATA_FORMAT>
    <METADATA_PROFILE>DISTRIBUTED</METADATA_PROFILE>
    <INFORMATION>Simulated: this product was never measured</INFORMATION>
  </Metadata_Identification>
  <Dataset_Identification>
    <IDENTIFIER>{name}</IDENTIFIER>
    <AUTHORITY>THEIA</AUTHORITY>
    <PROJECT>SENTINEL2</PROJECT>
    <GEOGRAPHICAL_ZONE type="Tile">T{acquisition.tile}</GEOGRAPHICAL_ZONE>
  </Dataset_Identification>
  <Product_Characteristics>
    <PRODUCT_ID>{name}</PRODUCT_ID>
    <ACQUISITION_DATE>{moment}</ACQUISITION_DATE>
    <PRODUCTION_DATE>{acquisition.date + np.timedelta64(10, "D")}T00:00:00.000Z</PRODUCTION_DATE>
    <PRODUCT_VERSION>{acquisition.version.replace("-", ".")}</PRODUCT_VERSION>
    <PRODUCT_LEVEL>L2A</PRODUCT_LEVEL>
    <PLATFORM>{satellite}</PLATFORM>
    <ORBIT_NUMBER type="Track">{acquisition.overpass.orbit}</ORBIT_NUMBER>
  </Product_Characteristics>
  <Product_Organisation>
    <Muscate_Product>
      <Image_List>
{bands}
      </Image_List>
      <Mask_List>
{masks}
      </Mask_List>
    </Muscate_Product>
  </Product_Organisation>
  <Geoposition_Informations>
    <Coordinate_Reference_System>
      <Horizontal_Coordinate_System>
        <HORIZONTAL_CS_TYPE>PROJECTED</HORIZONTAL_CS_TYPE>
        <HORIZONTAL_CS_NAME>WGS 84 / UTM zone 31N</HORIZONTAL_CS_NAME>
        <HORIZONTAL_CS_CODE>{EPSG}</HORIZONTAL_CS_CODE>
      </Horizontal_Coordinate_System>
    </Coordinate_Reference_System>
    <Geopositioning>
      <Group_Geopositioning_List>
{groups}
      </Group_Geopositioning_List>
    </Geopositioning>
  </Geoposition_Informations>
  <Geometric_Informations>
    <Mean_Value_List>
      <Sun_Angles>
        <ZENITH_ANGLE unit="deg">{image.sun_zenith:.4f}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{image.sun_azimuth:.4f}</AZIMUTH_ANGLE>
      </Sun_Angles>
    </Mean_Value_List>
  </Geometric_Informations>
  <Radiometric_Informations>
    <REFLECTANCE_QUANTIFICATION_VALUE>{REFLECTANCE_SCALE}</REFLECTANCE_QUANTIFICATION_VALUE>
    <WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE>20</WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE>
    <AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE>200</AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE>
    <Special_Values_List>
      <SPECIAL_VALUE name="nodata">{NODATA}</SPECIAL_VALUE>
      <SPECIAL_VALUE name="water_vapor_content_nodata">0</SPECIAL_VALUE>
      <SPECIAL_VALUE name="aerosol_optical_thickness_nodata">0</SPECIAL_VALUE>
    </Special_Values_List>
  </Radiometric_Informations>
  <Quality_Informations>
    <Current_Product>
      <Product_Quality_List level="Geo">
        <Product_Quality>
          <Global_Index_List>
            <QUALITY_INDEX name="CloudPercent">{image.cloud_percent:.0f}</QUALITY_INDEX>
          </Global_Index_List>
        </Product_Quality>
      </Product_Quality_List>
    </Current_Product>
  </Quality_Informations>
</Muscate_Metadata_Document>
"""


def _geopositioning(group: str, grid: GeoBox, pixel: int) -> str:
    rows, cols = (side * 10 // pixel for side in grid.shape)
    return f"""        <Group_Geopositioning group_id="{group}">
          <ULX>{grid.affine.c:.0f}</ULX>
          <ULY>{grid.affine.f:.0f}</ULY>
          <XDIM>{pixel}</XDIM>
          <YDIM>-{pixel}</YDIM>
          <NROWS>{rows}</NROWS>
          <NCOLS>{cols}</NCOLS>
        </Group_Geopositioning>"""


def _grid_of(grid: GeoBox, pixel: int) -> GeoBox:
    return grid if pixel == 10 else grid.zoom_out(2)
