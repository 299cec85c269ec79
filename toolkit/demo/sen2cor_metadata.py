"""The two XML files of a simulated Sen2Cor product: `MTD_MSIL2A.xml` of the product, `MTD_TL.xml` of its granule.

Elements and their order are those of true products (ESA, S2-PDGS-TAS-DI-PSD, issue 14.9), as far as they are there.
"""

from __future__ import annotations

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from toolkit.demo.safe_names import OFFSET, SafeName, compact, two_digits
from toolkit.demo.scene import Image
from toolkit.demo.tiles import EPSG
from toolkit.ground.bands import BANDS, REFLECTANCE_SCALE

BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
CLASSES = (
    "NODATA", "SATURATED_DEFECTIVE", "DARK_FEATURES", "CLOUD_SHADOW", "VEGETATION", "NOT_VEGETATED", "WATER",
    "UNCLASSIFIED", "MEDIUM_PROBA_CLOUDS", "HIGH_PROBA_CLOUDS", "THIN_CIRRUS", "SNOW_ICE",
)  # fmt: skip
"""Classes of the scene classification in their order, as the metadata call their shares."""
CLOUDS = (8, 9, 10)
SCHEMA = "https://psd-14.sentinel2.eo.esa.int/PSD"


def product_metadata(name: SafeName, classes: np.ndarray, grid: GeoBox) -> str:
    """The text of `MTD_MSIL2A.xml`.

    Args:
        classes: the scene classification, (y, x).
        grid: 10 m grid of the tile.
    """
    overpass, orbit = name.acquisition.overpass, f"{name.orbit:06}"
    images = [name.image(two_digits(band), BANDS[band].resolution) for band in BANDS] + [name.image("SCL", 20)]
    files = "\n".join(f"            <IMAGE_FILE>{image}</IMAGE_FILE>" for image in images)
    spectral = "\n".join(_spectral(band) for band in BANDS)
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="{SCHEMA}/User_Product_Level-2A.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{name.datatake}.024Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{name.datatake}.024Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{name.product}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{name.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{name.made}.000000Z</GENERATION_TIME>
      <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
      <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
      <Datatake datatakeIdentifier="GS2{overpass.satellite}_{compact(name.datatake)}_{orbit}_N{name.baseline}">
        <SPACECRAFT_NAME>Sentinel-2{overpass.satellite}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{name.datatake}.024Z</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{overpass.orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true">
        <PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
      </Query_Options>
      <Product_Organisation>
        <Granule_List>
          <Granule datastripIdentifier="{_identifier(name, "DS")}" granuleIdentifier="{_identifier(name, "TL")}" \
imageFormat="JPEG2000">
{files}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Image_Display_Order>
        <RED_CHANNEL>3</RED_CHANNEL>
        <GREEN_CHANNEL>2</GREEN_CHANNEL>
        <BLUE_CHANNEL>1</BLUE_CHANNEL>
      </Image_Display_Order>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{REFLECTANCE_SCALE}</BOA_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
{_offsets() if name.has_offset else ""}      <Spectral_Information_List>
{spectral}
      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint>
          <EXT_POS_LIST>{_footprint(grid)}</EXT_POS_LIST>
        </Global_Footprint>
      </Product_Footprint>
      <RASTER_CS_TYPE>POINT</RASTER_CS_TYPE>
      <PIXEL_ORIGIN>1</PIXEL_ORIGIN>
    </Product_Footprint>
    <Coordinate_Reference_System>
      <GEO_TABLES version="1">EPSG</GEO_TABLES>
      <HORIZONTAL_CS_TYPE>GEOGRAPHIC</HORIZONTAL_CS_TYPE>
    </Coordinate_Reference_System>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{_cloud_percent(classes):.6f}</Cloud_Coverage_Assessment>
{_content(classes)}
  </n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""


def granule_metadata(name: SafeName, image: Image, classes: np.ndarray, grid: GeoBox) -> str:
    """The text of `MTD_TL.xml`."""
    pixels = (10, 20)
    sizes = "\n".join(_size(pixel, grid) for pixel in pixels)
    places = "\n".join(_place(pixel, grid) for pixel in pixels)
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="{SCHEMA}/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{_identifier(name, "TL")}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{_identifier(name, "DS")}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
    <SENSING_TIME metadataLevel="Standard">{name.acquisition.time}Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone 31N</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{EPSG}</HORIZONTAL_CS_CODE>
{sizes}
{places}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{image.sun_zenith:.4f}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{image.sun_azimuth:.4f}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
{_content(classes, f"<CLOUDY_PIXEL_PERCENTAGE>{_cloud_percent(classes):.6f}</CLOUDY_PIXEL_PERCENTAGE>")}
  </n1:Quality_Indicators_Info>
</n1:Level-2A_Tile_ID>
"""


def _identifier(name: SafeName, kind: str) -> str:
    """Of a granule (`TL`) or of a strip of data (`DS`); the centre that made it is none that there is."""
    one = name.acquisition
    what = f"A{name.orbit:06}_T{one.tile}" if kind == "TL" else f"S{compact(name.strip)}"
    return f"S2{one.overpass.satellite}_OPER_MSI_L2A_{kind}_DEMO_{compact(name.made)}_{what}_N{name.baseline}"


def _offsets() -> str:
    each = "\n".join(
        f'        <BOA_ADD_OFFSET band_id="{number}">{-OFFSET}</BOA_ADD_OFFSET>' for number in range(len(BAND_IDS))
    )
    return f"      <BOA_ADD_OFFSET_VALUES_LIST>\n{each}\n      </BOA_ADD_OFFSET_VALUES_LIST>\n"


def _spectral(band: str) -> str:
    return f"""        <Spectral_Information bandId="{BAND_IDS.index(band)}" physicalBand="{band}">
          <RESOLUTION>{BANDS[band].resolution}</RESOLUTION>
          <Wavelength>
            <CENTRAL unit="nm">{BANDS[band].wavelength}</CENTRAL>
          </Wavelength>
        </Spectral_Information>"""


def _footprint(grid: GeoBox) -> str:
    """Latitude and longitude of the corners, from the upper left one around to it."""
    box = grid.boundingbox
    x, y = (box.left, box.left, box.right, box.right), (box.top, box.bottom, box.bottom, box.top)
    lons, lats = Transformer.from_crs(EPSG, 4326, always_xy=True).transform((*x, x[0]), (*y, y[0]))
    return " ".join(f"{lat:.6f} {lon:.6f}" for lon, lat in zip(lons, lats, strict=True))


def _size(pixel: int, grid: GeoBox) -> str:
    rows, cols = (side * 10 // pixel for side in grid.shape)
    return f"""      <Size resolution="{pixel}">
        <NROWS>{rows}</NROWS>
        <NCOLS>{cols}</NCOLS>
      </Size>"""


def _place(pixel: int, grid: GeoBox) -> str:
    return f"""      <Geoposition resolution="{pixel}">
        <ULX>{grid.affine.c:.0f}</ULX>
        <ULY>{grid.affine.f:.0f}</ULY>
        <XDIM>{pixel}</XDIM>
        <YDIM>-{pixel}</YDIM>
      </Geoposition>"""


def _cloud_percent(classes: np.ndarray) -> float:
    """Of what was seen, what Sen2Cor calls cloudy."""
    seen = classes > 0
    return 100 * float(np.isin(classes[seen], CLOUDS).mean()) if seen.any() else 0.0


def _content(classes: np.ndarray, first: str = "") -> str:
    """The share of each class, percent: of the whole tile that without data, of what was seen every other."""
    counts = np.bincount(classes.ravel(), minlength=len(CLASSES))
    shares = 100 * counts / max(1, counts[1:].sum())
    shares[0] = 100 * counts[0] / classes.size
    lines = [first] if first else []
    lines += [
        f"<{name}_{'PIXEL_' * (number < 2)}PERCENTAGE>{share:.6f}</{name}_{'PIXEL_' * (number < 2)}PERCENTAGE>"
        for number, (name, share) in enumerate(zip(CLASSES, shares, strict=True))
    ]
    inner = "\n".join(f"      {line}" for line in lines)
    return f"    <Image_Content_QI>\n{inner}\n    </Image_Content_QI>"
