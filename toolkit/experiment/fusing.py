"""The verb `fuse`: the maps of several runs become one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.steps import BY_OVERWRITE, check_current
from toolkit.ground.documents import read_yaml
from toolkit.ground.errors import ParameterError, ProductError, RunFolderError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.streaming import Progress, no_progress
from toolkit.mapping.fusion import Compatibility, FusionMethod, Mass, fuse_maps
from toolkit.mapping.layers import CLASSES, CONFIDENCE
from toolkit.mapping.stac import ITEM, write_item
from toolkit.products.handles import close_rasters, open_raster
from toolkit.products.raster import grid_of
from toolkit.validation.metrics import Assessment

Run = Experiment | str | Path


def fuse(
    runs: Sequence[Run],
    folder: str | Path,
    *,
    method: FusionMethod = "majority",
    mass: Mass = "precision",
    compatibility: Compatibility = "none",
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Fuse the mosaics of several runs into `folder/{classes,confidence}.tif`, with a STAC item beside them.

    Args:
        runs: experiments, their files, or run folders; of the same classes, tiles and coordinate system.
        method: `majority`; `dempster_shafer`, which weighs each map by what its validation measured; or
            `mean_probability`, which needs `mapping.probabilities` in each.
        mass: what of the validation is believed: `precision` or `recall` of the class, or `oa` or `kappa` of the map.
        compatibility: `otb` fuses to the pixel as the Orfeo ToolBox does, and iota2 with it, by the first two methods.
        overwrite: replace another map in the folder.

    Returns:
        Path of the class map.

    Raises:
        ParameterError: fewer than two maps, other classes or grids, or a method that the Orfeo ToolBox has not.
        RunFolderError: a run has no mosaic, no validation or no probabilities, or another map is in the folder.
    """
    _check_words(method=(method, FusionMethod), mass=(mass, Mass), compatibility=(compatibility, Compatibility))
    members, folder = [_run_folder(run) for run in _several(runs)], Path(folder)
    for member in members:
        _check_has(member, method)
        if folder.resolve().is_relative_to(member.mapping.resolve()) or folder.resolve() == member.root.resolve():
            raise ParameterError(f"{folder} is where the map of run {member.root} stands; name another folder")
    roots = [member.root.resolve() for member in members]
    twice = next((root for root in roots if roots.count(root) > 1), None)
    if twice is not None:
        raise ParameterError(f"run {twice} is named twice; each counts once")
    nomenclature = _common_classes(members)
    tags = _tags(members, method, mass, compatibility)
    periods = [_period(member) for member in members]
    path = folder / f"{CLASSES}.tif"
    if path.exists() and not overwrite:
        if {name: text for name, text in _tags_of(path).items() if name.startswith("FUSION_")} != tags:
            raise RunFolderError(f"{path} was made otherwise; name another folder, or replace it: {BY_OVERWRITE}")
        if (folder / f"{CONFIDENCE}.tif").exists() and (folder / ITEM).exists():
            return path
    believed = method == "dempster_shafer"
    matrices = [Assessment.load(member.validation).matrix for member in members] if believed else []
    fuse_maps(
        [member.mapping for member in members], folder, nomenclature, method=method, matrices=matrices, mass=mass,
        compatibility=compatibility, tags=tags, progress=progress,
    )  # fmt: skip
    try:
        grid = grid_of(path)
    finally:
        close_rasters()
    period = (min(first for first, _ in periods), max(last for _, last in periods))
    write_item(folder, folder.name, (CLASSES, CONFIDENCE), grid, nomenclature, period, tags=tags, cloud_optimised=True)
    return path


def _check_words(**given: tuple[str, Any]) -> None:
    for name, (word, kind) in given.items():
        if word not in get_args(kind):
            raise ParameterError(f"{name} = {word!r}: must be one of {', '.join(get_args(kind))}")


def _several(runs: Sequence[Run]) -> Sequence[Run]:
    """Two runs at least, and not the letters of one."""
    if isinstance(runs, str | Path | Experiment) or len(runs) < 2:
        raise ParameterError("two runs at least are fused: name them one after the other, or in a list")
    return runs


def _run_folder(run: Run) -> RunFolder:
    if not isinstance(run, Experiment):
        path = Path(run)
        if path.is_dir():
            return RunFolder(path)
        run = Experiment.load(path)
    return RunFolder(run.folder)


def _check_has(member: RunFolder, method: FusionMethod) -> None:
    """Refuse a run that has not what the method needs."""
    needed = {
        member.map(): "mosaic it first",
        **({member.validation: "validate it first"} if method == "dempster_shafer" else {}),
        **(
            {member.map("probabilities"): "set mapping.probabilities, then classify and mosaic"}
            if method == "mean_probability"
            else {}
        ),
    }
    for path, mend in needed.items():
        if not path.exists():
            raise RunFolderError(f"{member.root} has no {path.relative_to(member.root)}, which {method} needs; {mend}")


def _common_classes(members: Sequence[RunFolder]) -> Nomenclature:
    found = [_classes_of(member.map()) for member in members]
    for member, one in zip(members, found, strict=True):
        if one.classes != found[0].classes:
            other = sorted({each.code for each in set(one.classes) ^ set(found[0].classes)})
            raise ParameterError(
                f"{member.root} has other classes than {members[0].root} (codes {', '.join(map(str, other))}); maps "
                "that are fused have one nomenclature"
            )
    return found[0]


def _classes_of(path: Path) -> Nomenclature:
    """The nomenclature that a class map carries."""
    try:
        dataset = open_raster(path)
        colours = dataset.colormap(1)
        names = json.loads(dataset.tags(1)["CLASS_NAMES"])
    except (KeyError, ValueError):
        raise ProductError(f"{path} carries no class names; make it again with this toolkit") from None
    finally:
        close_rasters()
    classes = (
        LandCoverClass(int(code), label, "#{:02x}{:02x}{:02x}".format(*colours[int(code)][:3]))
        for code, label in names.items()
    )
    return Nomenclature(path.stem, tuple(classes))


def _tags(
    members: Sequence[RunFolder], method: FusionMethod, mass: Mass, compatibility: Compatibility
) -> dict[str, str]:
    """Provenance: the method, and each member with the fingerprint of what it was made from."""
    steps = ("mosaic", "validate") if method == "dempster_shafer" else ("mosaic",)
    made = [f"{one.root.name} {' '.join(_made_from(one, step) for step in steps)}" for one in members]
    believed = {"FUSION_MASS": mass} if method == "dempster_shafer" else {}
    rules = {} if compatibility == "none" else {"FUSION_COMPATIBILITY": compatibility}
    return {"FUSION_METHOD": method, "FUSION_MEMBERS": "; ".join(made), **believed, **rules}


def _made_from(member: RunFolder, step: str) -> str:
    """Fingerprint of all that a step of a run was made from: parameters, files, and the steps before it."""
    records = Manifest(member.manifest).records()
    if step not in records:
        raise RunFolderError(f"{member.manifest} has no record of `{step}`; run it again")
    check_current(step, records, member, "fuse")
    return records[step].key


def _tags_of(path: Path) -> dict[str, str]:
    try:
        return dict(open_raster(path).tags())
    finally:
        close_rasters()


def _period(member: RunFolder) -> tuple[date, date]:
    """First and last day of the series of a run."""
    kind = f"the experiment of run {member.root.name},"
    series = read_yaml(member.experiment, RunFolderError, kind, "run it again")["series"]
    return series["start"], series["end"]
