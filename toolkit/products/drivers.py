"""Drivers of images: each finds the products of one kind below a folder, by parameters of its own.

A new kind is a class here and its place in `ImageDriver`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from toolkit.ground.params import Params, models_of, param
from toolkit.products.dated import DatedRasters
from toolkit.products.masks import SCL_CLASSES, SCL_UNUSABLE
from toolkit.products.product import Product
from toolkit.products.sen2cor import find_sen2cor
from toolkit.products.theia import find_theia


class TheiaDriver(Params):
    """Theia (MUSCATE) Level-2A folders."""

    name: Literal["theia"] = param(..., "Driver.")
    reflectance: Literal["FRE", "SRE"] = param("FRE", "Flat (slope-corrected) or surface reflectance.")

    def find(self, root: Path, tile: str | None) -> list[Product]:
        """The products below `root`, in order of acquisition.

        Args:
            tile: whose products are wanted, where `root` may be a folder of that tile's alone; None for all tiles'.
                Others' may be among those found.

        Raises:
            ProductError: what is found there is not usable.
        """
        return find_theia(root, reflectance=self.reflectance)


class Sen2CorDriver(Params):
    """Sen2Cor Level-2A folders (SAFE), as ESA delivers them."""

    name: Literal["sen2cor"] = param(..., "Driver.")
    scl: tuple[Annotated[int, Field(ge=0, lt=len(SCL_CLASSES))], ...] = param(
        SCL_UNUSABLE, "Classes of the scene classification (SCL) that make a pixel unusable.", min_length=1
    )

    def find(self, root: Path, tile: str | None) -> list[Product]:
        """As `TheiaDriver.find`."""
        return find_sen2cor(root, scl=self.scl, tile=tile)


ImageDriver = Annotated[TheiaDriver | Sen2CorDriver | DatedRasters, Field(discriminator="name")]
"""Drivers of images, told apart by their name; each has `find` as `TheiaDriver` does."""

_MODELS: tuple[Any, ...] = models_of(ImageDriver)
IMAGE_DRIVERS: tuple[str, ...] = tuple(get_args(one.model_fields["name"].annotation)[0] for one in _MODELS)
"""Their names."""
