"""From a name to the feature function: one that ships, or one in a person's own file."""

from __future__ import annotations

from importlib import import_module

from toolkit.features.external import ExternalFunction
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import FeatureError, ParameterError, did_you_mean

SHIPPED = {
    "texture": "toolkit.features.texture",
    "phenology": "toolkit.features.phenology",
}
"""Feature functions that ship with the toolkit, and their modules."""


def own_function(source: SourceFile, name: str) -> ExternalFunction:
    """The feature function of this name in a file, which is imported for it.

    Raises:
        FeatureError: the file cannot be imported, or has no such function.
    """
    found = own_functions(source)
    if name in found:
        return found[name]
    if callable(source.members(FeatureError).get(name)):
        raise FeatureError(f"{source.path}: {name} is not declared as a feature; write @external_feature() above it")
    raise FeatureError(f"{source.path} has no feature function {name!r}{did_you_mean(name, found)}")


def own_functions(source: SourceFile) -> dict[str, ExternalFunction]:
    """Every feature function in a file by its name; the file is imported for it, once in a process.

    Raises:
        FeatureError: the file cannot be imported.
    """
    return {key: one for key, one in source.members(FeatureError).items() if isinstance(one, ExternalFunction)}


def shipped_function(name: str) -> ExternalFunction:
    """A feature function that ships with the toolkit.

    Raises:
        ParameterError: there is none of this name.
    """
    if name not in SHIPPED:
        raise ParameterError(
            f"features.external: no feature function {name!r} ships with the toolkit{did_you_mean(name, SHIPPED)}; "
            "name your own with the `file` that it is in"
        )
    function = getattr(import_module(SHIPPED[name]), name)
    assert isinstance(function, ExternalFunction)
    return function
