"""The errors a person can meet. Each message gives the value, the place and the mend.

    LandcoverError
    ├─ ParameterError     a key or a value of the experiment file
    ├─ CatalogError       an entry of the data catalog
    ├─ ProductError       an image or a mask: absent, cut short, of the wrong size
    ├─ GroundTruthError   polygons: no CRS, no class field, unknown class, outside the tiles
    ├─ FeatureError       a feature function that a person wrote: it fails, or gives what no network can take
    ├─ NetworkError       a network that a person wrote: it fails, or gives no logits
    ├─ SampleError        nothing to draw, or samples that do not fit the network
    ├─ ModelError         a saved model that does not fit what it is asked to classify
    ├─ ClusterError       a cluster that cannot be reached, or has nobody left to work
    └─ RunFolderError     a run folder made with other parameters, in use, or a full disk

The command line prints the message and ends with status 2; a panel shows it in place. A traceback
is for defects of the toolkit only.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LandcoverError(Exception):
    """Base of every error that is a mistake in data or parameters, not in the toolkit."""


class ParameterError(LandcoverError):
    """A key or a value of the experiment file is not accepted."""

    places: tuple[str, ...] = ()
    """Dotted path of each value that cannot be; that of a section, or empty, where values do not go together."""


class CatalogError(LandcoverError):
    """The data catalog, or one of its entries, is not usable."""


class ProductError(LandcoverError):
    """An image or a mask is absent, unreadable or of the wrong size."""


class GroundTruthError(LandcoverError):
    """The ground truth cannot be used as it is."""


class FeatureError(LandcoverError):
    """An external feature fails, or gives what cannot be used."""


class NetworkError(LandcoverError):
    """A network of a person's own fails, or gives what cannot be used."""


class SampleError(LandcoverError):
    """No samples, or samples that do not fit what is asked."""


class ModelError(LandcoverError):
    """A saved model does not fit what it is asked to classify."""


class ClusterError(LandcoverError):
    """A cluster cannot be reached, or has nobody left to work."""


class RunFolderError(LandcoverError):
    """The run folder holds other results, is in use, or cannot be written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word.

    Returns `"; did you mean 'epochs'?"` when a known word is near, else the list of known words.
    """
    known = sorted(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
