"""The command line: one subcommand a verb. Options are derived from the parameters themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import toolkit
from toolkit.experiment.launching import obey_once, processes_launched
from toolkit.experiment.printing import Printer, bar_of, conclusion, shown
from toolkit.experiment.verb_help import HELP, SECTIONS
from toolkit.ground.errors import LandcoverError, ParameterError
from toolkit.ground.option_text import strange_word, value_of
from toolkit.ground.params import default_of, kind_of, leaves

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment
    from toolkit.experiment.jobs import Job

DESCRIPTION = """\
Land-cover maps from satellite time series.

  landcover demo data/demo                          write a simulated year of Sentinel-2 and its experiment
  landcover run data/demo/experiment.yml            everything: polygons and images -> validated map
  landcover cross-validate data/demo/experiment.yml leave out one tile after the other
  landcover run data/demo/experiment.yml --background; landcover jobs data/demo/experiment.yml --follow

What is up to date is skipped; a killed run goes on where it stopped. Any parameter of the experiment file can be
given on the command line, for instance `--learning.epochs 50`; `landcover run --help` lists those of every step.
"""

MAP_USAGE = (
    "landcover map MODEL --catalog CATALOG --source SOURCE --tiles TILE [TILE ...] --folder FOLDER [--start DAY] "
    "[--end DAY] [--area W S E N] [--OPTION VALUE ...]"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or 2 for a mistake in data or parameters."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return obey_once(lambda: _obey(given))
    except LandcoverError as error:
        print(f"\nlandcover: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nlandcover: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(
            f"\nlandcover: {error.strerror or error}{place}; mend the file or folder, then start again", file=sys.stderr
        )
        return 2


def _obey(arguments: list[str]) -> int:
    parser, commands = _parser(arguments[0] if arguments else "")
    options, strange = parser.parse_known_args(arguments)
    if strange:
        known = [one for action in commands[arguments[0]]._actions for one in action.option_strings]
        raise ParameterError(strange_word(strange[0], arguments[0], known))
    options.command(options)
    return 0


def _parser(command: str) -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and that of each command; the options of a verb are only made for the verb asked for, since they need
    every section.
    """
    parser = argparse.ArgumentParser(
        "landcover",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"landcover {toolkit.__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(verbs.add_parser("demo", help="write a simulated year of four tiles, with ground truth"))
    _add_jobs(verbs)
    _add_app(verbs.add_parser("app", help="open the workbench as a page in the browser", allow_abbrev=False))
    reference = verbs.add_parser("parameters", help="every parameter of an experiment, as Markdown")
    reference.set_defaults(command=_print_parameters)
    what = "the indices and feature functions that there are, and an experiment's"
    features = verbs.add_parser("features", help=what)
    features.add_argument("experiment", type=Path, nargs="?", help="experiment file (YAML), to see its own too")
    features.set_defaults(command=_print_features)
    networks = verbs.add_parser("networks", help="the networks that there are: size, cost of a pixel, parameters")
    what = "experiment file (YAML), for its features and classes"
    networks.add_argument("experiment", type=Path, nargs="?", help=what)
    networks.set_defaults(command=_print_networks)
    what = "what classify will read, write and take, before it begins"
    usage = "landcover plan EXPERIMENT [--no-time] [--PARAMETER VALUE ...]"
    _add_plan(verbs.add_parser("plan", help=what, usage=usage, allow_abbrev=False), command)
    what = "classify any tiles with a saved model"
    _add_map(verbs.add_parser("map", help=what, usage=MAP_USAGE, allow_abbrev=False), command)
    _add_fuse(verbs.add_parser("fuse", help="fuse the maps of several runs into one", allow_abbrev=False))
    for name, sections in SECTIONS.items():
        description = f"{HELP[name][0].upper()}{HELP[name][1:]}."
        usage = f"landcover {name} EXPERIMENT [--overwrite] [--background] [--PARAMETER VALUE ...]"
        verb = verbs.add_parser(name, help=HELP[name], description=description, usage=usage, allow_abbrev=False)
        verb.add_argument("experiment", type=Path, help="experiment file (YAML)")
        verb.add_argument("--overwrite", action="store_true", help="replace results made with other parameters")
        verb.add_argument("--background", action="store_true", help="start it as a job that outlives this terminal")
        if name == "cross-validate":
            verb.add_argument("--by", default="tile", help="`tile`, or a field of the ground truth (default: tile)")
        if name == command:
            _add_parameters(verb, sections)
        if name == "tune":
            short = "the same as --tuning.trials"
            verb.add_argument("--trials", dest="tuning.trials", metavar="N", default=argparse.SUPPRESS, help=short)
        verb.set_defaults(command=_run_verb, verb=name)
    return parser, verbs.choices


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder to write; must be new, or hold a demo")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another landscape (default: 0)")
    parser.add_argument("--size", type=int, default=300, help="pixels a side of each tile (default: 300)")
    parser.add_argument(
        "--format", choices=("theia", "sen2cor"), default="theia",
        help="whose products: Theia's, GeoTIFFs (default), or ESA's of Sen2Cor, JPEG 2000",
    )  # fmt: skip
    parser.add_argument("--radar", action="store_true", help="images as of Sentinel-1 too, and an experiment of both")
    parser.set_defaults(command=_write_demo)


def _add_jobs(commands: Any) -> None:
    """The commands that look at jobs; where a job got another name or place, its run folder tells which is meant."""
    place = {"type": Path, "help": "experiment file (YAML), or run folder"}
    jobs = commands.add_parser("jobs", help="how the last job of an experiment goes", allow_abbrev=False)
    jobs.add_argument("experiment", **place)
    jobs.add_argument("--follow", action="store_true", help="print its log until it ends; Ctrl-C leaves it running")
    jobs.set_defaults(command=_show_job)
    stop = commands.add_parser("stop", help="stop the job of an experiment; what is done stays done")
    stop.add_argument("experiment", **place)
    stop.set_defaults(command=_stop_job)


def _add_app(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--port", type=int, default=8888, help="port on this machine; the next free one if it is taken")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.set_defaults(command=_serve_app)


def _add_plan(parser: argparse.ArgumentParser, command: str) -> None:
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--no-time", action="store_true", help="do not work on a few blocks to tell the time")
    if command == "plan":
        _add_parameters(parser, ("series", *SECTIONS["classify"]))
    parser.set_defaults(command=_print_plan)


def _add_map(parser: argparse.ArgumentParser, command: str) -> None:
    """The command that needs no experiment."""
    parser.add_argument("model", type=Path, help="folder of a saved model")
    parser.add_argument("--catalog", type=Path, required=True, help="data catalog")
    parser.add_argument("--source", required=True, help="source of images in the data catalog")
    parser.add_argument("--tiles", nargs="+", required=True, help="Sentinel-2 tiles, such as 31TCJ")
    parser.add_argument("--folder", type=Path, required=True, help="where the experiment and its map will stand")
    parser.add_argument("--start", help="first day; default that of the training")
    parser.add_argument("--end", help="last day; default as long after the start as in the training")
    parser.add_argument("--area", nargs=4, type=float, metavar=("W", "S", "E", "N"), help="degrees; default all")
    parser.add_argument("--base", type=Path, help="folder of the files of external features; default the catalog's")
    parser.add_argument("--network-file", type=Path, help="file of a network of your own")
    parser.add_argument("--sensors", nargs="+", default=[], metavar="NAME=SOURCE", help="sources of further sensors")
    parser.add_argument("--overwrite", action="store_true", help="replace results made with other parameters")
    if command == "map":
        fields = _add_parameters(parser, ("mapping", "cluster"), general=())
        for path in ("series.missing_band", "series.missing_mask"):
            _add_option(parser, path, fields[path])
    parser.set_defaults(command=_map_with)


def _add_fuse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where the map will stand")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders or experiment files, two at least")
    parser.add_argument("--method", default="majority", choices=("majority", "dempster_shafer", "mean_probability"))
    parser.add_argument("--mass", default="precision", choices=("precision", "recall", "oa", "kappa"))
    parser.add_argument(
        "--compatibility", default="none", choices=("none", "otb"), help="otb: as the Orfeo ToolBox and iota2 fuse"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace another map in the folder")
    parser.set_defaults(command=_fuse)


def _add_parameters(
    parser: argparse.ArgumentParser,
    sections: Sequence[str],
    general: Sequence[str] = ("name", "catalog", "runs", "seed"),
) -> dict[str, Any]:
    """An option for every parameter: `--learning.epochs`; help lists those of these sections.

    Returns:
        The field of every parameter.
    """
    from toolkit.experiment.config import ExperimentParams

    for name in general:
        _add_option(parser, name, ExperimentParams.model_fields[name])
    for section in sections:
        field = ExperimentParams.model_fields[section]
        group = parser.add_argument_group(section, field.description)
        for path, leaf in leaves(field.annotation, section):
            _add_option(group, path, leaf)
    fields = dict(leaves(ExperimentParams))
    for path, leaf in fields.items() if general else ():
        if path.split(".")[0] not in (*general, *sections):
            _add_option(parser, path, leaf, listed=False)
    return fields


def _add_option(parser: Any, path: str, field: Any, *, listed: bool = True) -> None:
    default = default_of(field)
    text = f"{field.description}{f' Default: {default}.' if default else ''}".replace("%", "%%")
    words = {"metavar": kind_of(field.annotation), "help": text if listed else argparse.SUPPRESS}
    parser.add_argument(f"--{path}", dest=path, default=argparse.SUPPRESS, **words)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Dotted path -> value of every parameter given."""
    from toolkit.experiment.config import ExperimentParams

    given = vars(options)
    fields = leaves(ExperimentParams)
    texts = {path: text for path, text in given.items() if isinstance(text, str)}
    return {path: value_of(texts[path], field.annotation) for path, field in fields if path in texts}


def _print_features(options: argparse.Namespace) -> None:
    from toolkit.experiment.config import Experiment
    from toolkit.experiment.feature_list import feature_list

    print(feature_list(Experiment.load(options.experiment) if options.experiment else None))


def _print_networks(options: argparse.Namespace) -> None:
    from toolkit.experiment.config import Experiment
    from toolkit.experiment.network_list import network_list

    print(network_list(Experiment.load(options.experiment) if options.experiment else None))


def _print_plan(options: argparse.Namespace) -> None:
    from toolkit.experiment.plan import plan

    print(plan(_experiment_of(options), time=not options.no_time))


def _map_with(options: argparse.Namespace) -> None:
    given: dict[str, dict[str, Any]] = {"mapping": {}, "cluster": {}, "series": {}}
    for path, value in _changes(options).items():
        section, _, name = path.partition(".")
        if name:
            given[section][name] = value
    missing = {name.removeprefix("missing_"): choice for name, choice in given["series"].items()}
    sensors = dict(one.partition("=")[::2] for one in options.sensors)
    path = toolkit.apply_model(
        options.model, options.catalog, options.source, options.tiles, folder=options.folder, start=options.start,
        end=options.end, area=tuple(options.area) if options.area else None, base=options.base,
        network_file=options.network_file, sensors=sensors, overwrite=options.overwrite, observer=Printer(),
        missing=missing, cluster=given["cluster"], **given["mapping"],
    )  # fmt: skip
    print(f"\nmap     {shown(path)}")


def _fuse(options: argparse.Namespace) -> None:
    path = toolkit.fuse(
        options.runs, options.folder, method=options.method, mass=options.mass, compatibility=options.compatibility,
        overwrite=options.overwrite,
    )  # fmt: skip
    print(f"map     {shown(path)}")


def _experiment_of(options: argparse.Namespace, usual: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of the file, with these parameters, and before them those given on the command line."""
    from toolkit.experiment.config import Experiment

    experiment = Experiment.load(options.experiment)
    if changes := dict(usual or {}) | _changes(options):
        experiment.set(changes)
    return experiment


def _run_verb(options: argparse.Namespace) -> None:
    launched = processes_launched() if "learning" in SECTIONS[options.verb] else None
    experiment = _experiment_of(options, {"learning.processes": launched} if launched else None)
    printer, name = Printer(), options.verb.replace("-", "_")
    arguments = {"by": options.by} if name == "cross_validate" else {}
    if options.background:
        job = toolkit.Job.start(experiment, name, overwrite=options.overwrite, **arguments)
        print(f"begun   {options.verb}, as a job of its own\nfollow  landcover jobs {shown(job.folder)} --follow")
        print(f"stop    landcover stop {shown(job.folder)}")
        return
    verb = getattr(toolkit, name)
    result = verb(experiment, overwrite=options.overwrite, observer=printer, **arguments)
    print(f"\n{conclusion(options.verb, experiment, result)}")


def _job_of(options: argparse.Namespace) -> Job:
    from toolkit.experiment.config import Experiment
    from toolkit.ground.errors import RunFolderError

    place = options.experiment
    job = toolkit.Job.latest(place if place.is_dir() else Experiment.load(place))
    if job is None:
        raise RunFolderError(f"no job was started for {place}; `landcover run EXPERIMENT --background` starts one")
    return job


def _show_job(options: argparse.Namespace) -> None:
    from toolkit.ground.errors import RunFolderError

    job = _job_of(options)
    if options.follow:
        for line in job.follow_log():
            print(line, flush=True)
    status = job.look()
    for stage in status.stages if not options.follow else ():
        left = f"{stage.left:.0f} s left" if stage.left is not None else ""
        bar = bar_of(stage.done, stage.total) if stage.state == "running" and stage.total else ""
        print(f"{stage.name:<16} {stage.state:<11} {bar} {stage.message}  {left}".rstrip())
    print(f"job {job.verb} {status.state}  {shown(job.folder)}")
    if status.error:
        raise RunFolderError(status.error)


def _stop_job(options: argparse.Namespace) -> None:
    job = _job_of(options)
    job.stop()
    job.wait(30)
    print(f"job {job.verb} {job.state}  {shown(job.folder)}")


def _write_demo(options: argparse.Namespace) -> None:
    from toolkit.demo.write import write_demo

    printer = Printer()
    if not printer.moving and not options.folder.is_file():
        print(f"The demo in {options.folder} ...", flush=True)
    write_demo(
        options.folder, options.seed, options.size,
        format=options.format, radar=options.radar, progress=printer.bar("demo"),
    )  # fmt: skip
    printer.end()
    tiles = f"four tiles of {options.size} x {options.size} pixels, seed {options.seed}"
    print(f"\ndemo        {tiles}\nexperiment  {options.folder / 'experiment.yml'}")


def _serve_app(options: argparse.Namespace) -> None:
    from toolkit.app.server import serve
    from toolkit.experiment.config import Experiment

    Experiment.load(options.experiment)  # a mistake in it is told here, not on the page

    def tell(address: str) -> None:
        print(f"The workbench is at {address}\nCtrl-C ends it; a job that runs goes on.", flush=True)

    serve(options.experiment, port=options.port, browser=not options.no_browser, tell=tell)


def _print_parameters(options: argparse.Namespace) -> None:
    from toolkit.experiment.reference import parameters_page

    print(parameters_page(), end="")


if __name__ == "__main__":
    sys.exit(main())
