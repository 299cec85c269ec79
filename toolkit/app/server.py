"""Start the page: a Jupyter server with a token, that renders the workbench notebook through Voila.

Voila runs as an extension of the server, so the page, its kernel and the squares of its maps share one port and one
login. The template is Voila's own, less what it fetches from elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from toolkit.ground.errors import ParameterError

HERE = Path(__file__).parent
NOTEBOOK = "workbench.ipynb"
EXPERIMENT = "LANDCOVER_EXPERIMENT"
"""Environment variable that tells the notebook its experiment file."""

NO_MATH = "data:text/javascript," + quote(
    "window.MathJax={Hub:{Config(){},Configured(){},Queue(){},Register:{StartupHook(){}}}};//"
)
"""Stands in for MathJax, which Voila would fetch from elsewhere; the page has no formulas."""

EXTENSIONS = ("voila.server_extension", "toolkit.webmap.extension")


def serve(experiment: Path, *, port: int = 8888, browser: bool = True) -> None:
    """Serve the page; this process becomes the server, so what ends it ends the server.

    Args:
        experiment: experiment file; the run folder lies beside it.
        port: the next free one is taken where this one is in use.
        browser: whether to open the page.

    Raises:
        ParameterError: there is no such file.
    """
    if not experiment.is_file():
        raise ParameterError(f"experiment file {experiment} does not exist; `landcover demo FOLDER` writes one")
    if os.name == "nt":  # where no process becomes another
        sys.exit(subprocess.run(command(port, browser), env=environment(experiment), check=False).returncode)
    os.execve(sys.executable, command(port, browser), environment(experiment))


def command(port: int, browser: bool) -> list[str]:
    """The command that starts the server. It listens on this machine only, and asks for its token everywhere."""
    return [
        sys.executable,
        "-m",
        "jupyter_server",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={HERE}",
        f"--ServerApp.default_url=/voila/render/{NOTEBOOK}",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.allow_unauthenticated_access=False",
        "--ServerApp.terminals_enabled=False",
        f"--ServerApp.jpserver_extensions={dict.fromkeys(EXTENSIONS, True)}",
        f"--ServerApp.tornado_settings={{'mathjax_url': {NO_MATH!r}}}",
        "--VoilaConfiguration.template=landcover",
        "--VoilaConfiguration.file_allowlist=[]",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]


def environment(experiment: Path) -> dict[str, str]:
    """What the server, and the kernel of the page, are told."""
    found = os.pathsep.join(filter(None, [str(HERE / "jupyter"), os.environ.get("JUPYTER_PATH", "")]))
    return {**os.environ, "JUPYTER_PATH": found, EXPERIMENT: str(experiment.resolve())}
