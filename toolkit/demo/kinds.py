"""The kinds of land of the demo: for each OSO class one or more kinds, with their calendar and their materials.

Days count from 1 January 2018 and may lie before or after that year. Calendars follow the crops of south-west
France (Inglada et al. 2017, Remote Sensing 9(1), 95; Defourny et al. 2019, Remote Sensing of Environment 221;
Veloso et al. 2017, Remote Sensing of Environment 199, NDVI of wheat, rapeseed, corn, soy and sunflower near
Toulouse). Pairs that people confuse are near each other on purpose: soy, corn and sunflower; protein crops and
straw cereals; grasslands and natural grasslands; the kinds of urban land; orchards, vineyards and moorlands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Season:
    """One rise and fall of NDVI; the days are those of the inflexion points."""

    height: float
    """NDVI gained between foot and top; negative for a cut."""
    rise: float
    fall: float
    rise_pace: float = 11
    """Days: the logistic curve's scale; a rise takes about four of them."""
    fall_pace: float = 9
    chance: float = 1.0
    """Share of parcels that have this season."""
    spread: float = 8
    """Standard deviation of the season's days from parcel to parcel."""


@dataclass(frozen=True)
class Kind:
    """One way in which a class appears."""

    code: int
    """Class code of the OSO nomenclature."""
    share: float
    """Part of the class's parcels, relative to the other kinds of the class."""
    base: float
    """NDVI outside of the seasons."""
    seasons: tuple[Season, ...]
    green: Mapping[str, float]
    """Mixture of the green part."""
    ground: Mapping[str, float] = field(default_factory=lambda: {"soil": 1.0})
    """Mixture of what is not green; `soil` stands for the soil of the place."""
    straw: float = 0.0
    """Part of the ground hidden by straw after the first season."""
    stubble: float = 0.0
    """Part of the ground hidden by last year's stubble before the first season."""
    bloom: float | None = None
    """Day of full yellow bloom."""
    thirst: float = 0.5
    """How much of the summer drought the canopy feels, 0 (irrigated) to 1."""
    variety: float = 1.0
    """How much parcels differ in base and height; 1 is usual for crops."""


_COVER_CROP = Season(0.30, -45, 85, 14, 7, chance=0.30, spread=14)
_WEEDS = Season(0.16, 20, 98, 16, 6, chance=0.45, spread=12)
_VOLUNTEERS = Season(0.26, 240, 318, 10, 9, chance=0.50, spread=16)
_NEXT_WINTER_CROP = Season(0.34, 338, 520, 12, 9, chance=0.5, spread=10)
_AFTER_WINTER_CROP = (_VOLUNTEERS, _NEXT_WINTER_CROP)
_AROUND_SUMMER_CROP = (_COVER_CROP, _WEEDS, _NEXT_WINTER_CROP)
_MOWN = (
    Season(-0.30, 148, 176, 2.5, 9, chance=0.75, spread=14),
    Season(-0.22, 208, 238, 2.5, 10, chance=0.5, spread=16),
)
_GARDEN = Season(0.10, 85, 310, 16, 20, spread=8)
_BROAD = {"broad_crop": 1.0}
_CEREAL = {"cereal": 1.0}

KINDS = (
    # built: what is green is gardens and trees
    Kind(1, 1.0, 0.16, (_GARDEN,), {"grass": 1, "broad_leaf": 1},
         {"roof_tile": 5.4, "asphalt": 2.2, "concrete": 1.4, "shade": 1.4}, variety=1.5),
    Kind(2, 0.7, 0.38, (Season(0.14, 90, 308, 14, 18),), {"grass": 2, "broad_leaf": 1},
         {"roof_tile": 3.2, "asphalt": 2, "concrete": 1.2, "soil": 1.6, "shade": 0.8}, variety=2.0),
    Kind(2, 0.3, 0.29, (Season(0.12, 90, 308, 14, 18),), {"grass": 2, "broad_leaf": 1},
         {"roof_tile": 3.2, "asphalt": 2.2, "concrete": 1.6, "soil": 1, "shade": 0.8}, variety=2.0),
    Kind(3, 1.0, 0.17, (Season(0.07, 85, 310, 16, 20),), {"grass": 1},
         {"concrete": 3, "asphalt": 2.6, "metal_roof": 2.2, "roof_tile": 0.6, "shade": 0.5}, variety=1.8),
    Kind(4, 1.0, 0.22, (Season(0.12, 85, 260, 16, 25),), {"grass": 1},
         {"asphalt": 5, "concrete": 1, "soil": 1}, variety=1.8),
    # winter crops
    Kind(5, 1.0, 0.19, (Season(0.62, -88, 160, 14, 7), Season(-0.14, -8, 52, 12, 11), *_AFTER_WINTER_CROP), _BROAD,
         straw=0.7, bloom=104),
    Kind(6, 0.55, 0.19, (Season(0.64, 48, 162, 20, 6), Season(0.10, -30, 150, 10, 8), *_AFTER_WINTER_CROP), _CEREAL,
         straw=0.85),
    Kind(6, 0.30, 0.19, (Season(0.62, 36, 150, 18, 6), Season(0.14, -35, 135, 10, 8), *_AFTER_WINTER_CROP), _CEREAL,
         straw=0.85),
    Kind(6, 0.15, 0.18, (Season(0.62, 80, 168, 10, 6), *_AFTER_WINTER_CROP), _CEREAL, straw=0.8, stubble=0.2),
    Kind(7, 0.45, 0.18, (Season(0.60, 62, 144, 15, 6), Season(0.06, -20, 140, 10, 8), *_AFTER_WINTER_CROP),
         {"legume": 3, "cereal": 1}, straw=0.4),
    Kind(7, 0.55, 0.18, (Season(0.62, 92, 164, 9, 6), *_AFTER_WINTER_CROP), {"legume": 3, "cereal": 1},
         straw=0.35, stubble=0.1),
    # summer crops
    Kind(8, 0.7, 0.18, (Season(0.66, 177, 265, 9, 8), *_AROUND_SUMMER_CROP), {"legume": 1},
         straw=0.3, stubble=0.35, thirst=0.15),
    Kind(8, 0.3, 0.18, (Season(0.60, 168, 255, 10, 8), *_AROUND_SUMMER_CROP), {"legume": 2, "broad_crop": 1},
         straw=0.3, stubble=0.35, thirst=0.4),
    Kind(9, 0.75, 0.18, (Season(0.55, 147, 219, 9, 9), *_AROUND_SUMMER_CROP), _BROAD,
         straw=0.35, stubble=0.3, bloom=186, thirst=0.7),
    Kind(9, 0.25, 0.18, (Season(0.55, 162, 234, 9, 9), *_AROUND_SUMMER_CROP), _BROAD,
         straw=0.35, stubble=0.3, bloom=201, thirst=0.7),
    Kind(10, 0.6, 0.18, (Season(0.65, 153, 261, 9, 12), *_AROUND_SUMMER_CROP), {"maize": 1},
         straw=0.6, stubble=0.5, thirst=0.15),
    Kind(10, 0.25, 0.18, (Season(0.62, 150, 242, 9, 7), *_AROUND_SUMMER_CROP), {"maize": 3, "broad_crop": 1},
         straw=0.35, stubble=0.5, thirst=0.3),
    Kind(10, 0.15, 0.18, (Season(0.54, 149, 240, 10, 13), *_AROUND_SUMMER_CROP), {"maize": 2, "cereal": 1},
         straw=0.6, stubble=0.5, thirst=0.9),
    Kind(12, 0.5, 0.18, (Season(0.60, 132, 200, 9, 8), *_AROUND_SUMMER_CROP), {"root_crop": 1},
         stubble=0.2, thirst=0.15),
    Kind(12, 0.5, 0.18, (Season(0.62, 138, 290, 11, 9), *_AROUND_SUMMER_CROP), {"root_crop": 1},
         stubble=0.2, thirst=0.2),
    # grass
    Kind(13, 0.45, 0.53, (Season(0.28, 72, 318, 16, 25), *_MOWN), {"grass": 1}, {"soil": 2, "straw": 1}, thirst=0.6),
    Kind(13, 0.35, 0.51, (Season(0.26, 78, 310, 18, 25), Season(-0.14, 190, 262, 14, 14)), {"grass": 1},
         {"soil": 1, "straw": 1}, thirst=0.8),
    Kind(13, 0.20, 0.40, (Season(0.36, 66, 330, 14, 25), *_MOWN), {"grass": 2, "broad_crop": 1},
         {"soil": 3, "straw": 1}, thirst=0.4),
    Kind(18, 0.6, 0.38, (Season(0.22, 94, 300, 18, 25), Season(-0.17, 184, 270, 14, 16)), {"grass": 2, "shrub": 1},
         {"soil": 1, "straw": 2, "limestone": 0.6}, thirst=1.0, variety=1.3),
    Kind(18, 0.4, 0.43, (Season(0.22, 92, 304, 18, 25), Season(-0.13, 190, 264, 14, 16)), {"grass": 3, "shrub": 1},
         {"soil": 1, "straw": 2}, thirst=0.9, variety=1.3),
    # woody
    Kind(14, 0.6, 0.42, (Season(0.30, 98, 308, 11, 12),), {"orchard_leaf": 2, "grass": 1}, {"soil": 3, "shade": 0.7},
         thirst=0.3, variety=1.3),
    Kind(14, 0.4, 0.33, (Season(0.32, 104, 306, 11, 12),), {"orchard_leaf": 3, "grass": 1}, {"soil": 4, "shade": 0.7},
         thirst=0.5, variety=1.3),
    Kind(15, 0.6, 0.21, (Season(0.28, 132, 298, 13, 11), _WEEDS), {"orchard_leaf": 1}, {"soil": 6, "shade": 0.6},
         thirst=0.6, variety=1.2),
    Kind(15, 0.4, 0.30, (Season(0.24, 124, 300, 14, 12),), {"orchard_leaf": 1, "grass": 1},
         {"soil": 5, "straw": 0.6, "shade": 0.6}, thirst=0.6, variety=1.2),
    Kind(16, 0.8, 0.44, (Season(0.42, 107, 308, 7, 9),), {"broad_leaf": 1}, {"litter": 3, "shade": 1.6},
         thirst=0.3, variety=0.9),
    Kind(16, 0.2, 0.40, (Season(0.42, 112, 300, 7, 9),), {"broad_leaf": 3, "shrub": 1},
         {"litter": 3, "soil": 1, "shade": 1.2}, thirst=0.5, variety=0.9),
    Kind(17, 0.8, 0.68, (Season(0.10, 112, 300, 18, 20),), {"needle_leaf": 1}, {"litter": 1, "shade": 2.2},
         thirst=0.2, variety=1.2),
    Kind(17, 0.2, 0.58, (Season(0.20, 110, 304, 12, 14),), {"needle_leaf": 2, "broad_leaf": 1},
         {"litter": 2, "shade": 2}, thirst=0.3, variety=1.2),
    Kind(19, 0.6, 0.46, (Season(0.20, 106, 302, 15, 18),), {"shrub": 1}, {"litter": 2, "soil": 1, "shade": 0.8},
         thirst=0.6, variety=1.5),
    Kind(19, 0.4, 0.42, (Season(0.24, 98, 300, 15, 18), Season(-0.08, 192, 262, 14, 16)), {"shrub": 2, "grass": 1},
         {"straw": 1, "soil": 1, "shade": 0.4}, thirst=0.8, variety=1.5),
    # bare and water
    Kind(20, 1.0, 0.14, (Season(0.06, 90, 290, 18, 20),), {"grass": 1}, {"limestone": 4, "soil": 1.2, "shade": 0.3},
         variety=1.5),
    Kind(23, 0.7, 0.0, (), {"grass": 1}, {"clear_water": 2, "turbid_water": 1}, thirst=0),
    Kind(23, 0.3, 0.0, (), {"grass": 1}, {"clear_water": 1, "turbid_water": 2}, thirst=0),
)  # fmt: skip

CODES = tuple(sorted({kind.code for kind in KINDS}))
"""The classes of the demo: the twenty that the OSO study area of 2018 has."""
