"""Read a YAML document that a person wrote, and say what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from toolkit.ground.errors import LandcoverError


class _Loader(yaml.SafeLoader):
    """Safe loading that refuses a key that stands twice, of which YAML keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"line {line}: a key must be a word, not a list")
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"line {line}: {key.value!r} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        """A day; one that is in no calendar stays a text, which the parameter refuses by its name."""
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def read_yaml(path: Path, error: type[LandcoverError], kind: str, hint: str) -> dict[str, Any]:
    """The content of a YAML file.

    Args:
        error: what to raise.
        kind: what the file is, in words: `"experiment file"`.
        hint: what to do where it is absent.

    Raises:
        LandcoverError: `error`, where the file is absent, is no YAML in UTF-8, or is no table of keys and values.
    """
    if path.is_dir():
        raise error(f"{kind} {path} is a folder; name the file in it")
    if not path.is_file():
        place = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise error(f"{kind} {path} does not exist{place}; {hint}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not UTF-8 text ({problem.reason}); save it as UTF-8") from None
    return parse_yaml(text, path, error)


def parse_yaml(text: str, path: Path, error: type[LandcoverError]) -> dict[str, Any]:
    """The content of a YAML text.

    Args:
        path: the file it stands in, for messages.
        error: what to raise.

    Raises:
        LandcoverError: `error`, where the text is no YAML, or is no table of keys and values.
    """
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as problem:
        raise error(f"{path} is not valid YAML: {' '.join(str(problem).split())}") from None
    except (LookupError, AttributeError):  # how PyYAML fails where a value is not of the kind that its `!!tag` says
        raise error(f"{path} is not valid YAML: a value does not fit the tag (!!) before it; leave tags out") from None
    except RecursionError:
        raise error(
            f"{path} is nested deeper than any file of this toolkit; look for a bracket typed too often"
        ) from None
    if not isinstance(content, dict):
        raise error(f"{path} must hold keys and values, such as `name: …`, not {type(content).__name__}")
    return content


def parse_value(text: str) -> Any:
    """What a text means in YAML.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, LookupError, AttributeError, RecursionError) as problem:
        raise ValueError(f"{text!r} is not valid YAML ({type(problem).__name__})") from None


def constructed(node: yaml.Node) -> Any:
    """The value of a node of a YAML document."""
    return _Loader("").construct_object(node, deep=True)
