"""pyproject.toml, environment.yml and requirements.lock hold the same set of packages."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def ranges(lines: list[str]) -> dict[str, str]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier) for one in requirements}


def locked() -> dict[str, Version]:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


def test_conda_environment_has_the_project_s_ranges() -> None:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = ranges([one for one in entries if isinstance(one, str) and one not in ("pip",)])
    assert conda.pop("python") == project()["requires-python"]
    assert {CONDA_NAMES.get(name, name): spec for name, spec in conda.items()} == ranges(project()["dependencies"])


def test_lock_satisfies_the_ranges() -> None:
    wanted = project()["dependencies"] + project()["optional-dependencies"]["dev"]
    pins = locked()
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in requirements.lock"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} is not {requirement.specifier}"


def test_everything_imported_is_declared() -> None:
    """Names of distributions and of modules differ for a few only."""
    from tests.test_architecture import files, imports

    modules = {"pyyaml": "yaml", "odc-geo": "odc", "ipython": "IPython", "pillow": "PIL", "scikit-learn": "sklearn"}
    extras = [line for name, lines in project()["optional-dependencies"].items() if name != "dev" for line in lines]
    declared = {modules.get(name, name.replace("-", "_")) for name in ranges(project()["dependencies"] + extras)}
    used = {name.split(".")[0] for path in files() for name in imports(path)} - set(sys.stdlib_module_names)
    assert used - declared <= {"toolkit", "pydantic_core"}, "pydantic_core comes with pydantic"
