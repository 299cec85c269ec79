"""Start the page: a Jupyter server with a token, that renders the workbench notebook through Voila.

Voila runs as an extension of the server, so the page, its kernel and the squares of its maps share one port and one
login. The template is Voila's own, less what it fetches from elsewhere.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
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


def serve(experiment: Path, *, port: int, browser: bool, tell: Callable[[str], None]) -> None:
    """Serve the page; this process becomes the server, so what ends it ends the server.

    Args:
        experiment: experiment file; the run folder lies beside it.
        port: the next free one is taken where this one is in use.
        browser: whether to open the page.
        tell: called with the address of the page, its token included.

    Raises:
        ParameterError: there is no such file.
    """
    if not experiment.is_file():
        raise ParameterError(f"experiment file {experiment} does not exist; `landcover demo FOLDER` writes one")
    free, token = free_port(port), os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    tell(f"http://127.0.0.1:{free}/?token={token}")
    start, told = command(free, browser), {**environment(experiment), "JUPYTER_TOKEN": token}
    if os.name == "nt":  # where no process becomes another
        sys.exit(subprocess.run(start, env=told, check=False).returncode)
    os.execve(sys.executable, start, told)


def free_port(first: int) -> int:
    """The first port from this one on that nothing on this machine listens on.

    Raises:
        ParameterError: none of the next fifty is free.
    """
    for port in range(first, min(first + 50, 65536)):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise ParameterError(f"no port from {first} on is free; give another with --port")


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
        "--ServerApp.log_level=ERROR",
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
