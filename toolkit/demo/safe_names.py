"""What a simulated Sen2Cor product is called, as ESA names products, granules and images.

Source: Sentinel-2 Products Specification Document (ESA, S2-PDGS-TAS-DI-PSD), compact naming convention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.demo.passes import Acquisition

OFFSET = 1000
"""What values since baseline 04.00 are greater than reflectance x 10000."""
ORBITS = {"A": (np.datetime64("2018-01-01"), 13204), "B": (np.datetime64("2018-01-06"), 4367)}
"""A day on which the satellite passed on relative orbit 51, and the number of that orbit since its launch."""
ORBITS_A_CYCLE, DAYS_A_CYCLE = 143, 10


@dataclass(frozen=True)
class SafeName:
    """The names of a product and of what is in it."""

    acquisition: Acquisition

    @property
    def has_offset(self) -> bool:
        """Whether it was made by a baseline since 04.00."""
        return self.acquisition.version.startswith("2")

    @property
    def baseline(self) -> str:
        """`05.00`."""
        return "05.00" if self.has_offset else "02.07"

    @property
    def orbit(self) -> int:
        """Number of the orbit since the satellite's launch."""
        overpass = self.acquisition.overpass
        day, number = ORBITS[overpass.satellite]
        later = overpass.time.astype("datetime64[D]") - day + (3 if overpass.orbit == 8 else 0)
        return number + ORBITS_A_CYCLE * (later.astype(int) // DAYS_A_CYCLE) - (51 - overpass.orbit)

    @property
    def datatake(self) -> np.datetime64:
        """When the satellite began to record, minutes before it came here."""
        return (self.acquisition.overpass.time - np.timedelta64(445, "s")).astype("datetime64[s]")

    @property
    def strip(self) -> np.datetime64:
        """When the strip of data begins that the image is cut from."""
        if self.acquisition.half == "south":
            return self.acquisition.time.astype("datetime64[s]")
        return self.datatake - np.timedelta64(6, "s")

    @property
    def made(self) -> np.datetime64:
        """When the product was made; its second half a second after the first."""
        years = np.timedelta64(2000 if self.has_offset else 0, "D")
        return self.datatake + years + np.timedelta64(18_000 + (self.acquisition.half == "south"), "s")

    @property
    def product(self) -> str:
        """Name of the product's folder."""
        one = self.acquisition
        return (
            f"S2{one.overpass.satellite}_MSIL2A_{compact(self.datatake)}_N{self.baseline.replace('.', '')}"
            f"_R{one.overpass.orbit:03}_T{one.tile}_{compact(self.made)}.SAFE"
        )

    @property
    def granule(self) -> str:
        """Name of the granule's folder."""
        return f"L2A_T{self.acquisition.tile}_A{self.orbit:06}_{compact(self.strip)}"

    def image(self, kind: str, pixel: int) -> str:
        """Place of an image in the product, without its ending, as the metadata list it."""
        stem = f"T{self.acquisition.tile}_{compact(self.datatake)}_{kind}_{pixel}m"
        return f"GRANULE/{self.granule}/IMG_DATA/R{pixel}m/{stem}"


def compact(time: np.datetime64) -> str:
    """`20180511T105031`."""
    return str(time.astype("datetime64[s]")).replace("-", "").replace(":", "")


def two_digits(band: str) -> str:
    """`B02` for `B2`; `B8A` as it is."""
    return f"B{int(band[1:]):02}" if band[1:].isdigit() else band
