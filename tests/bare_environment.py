"""A virtual environment with some installed distributions and what they require, and nothing else."""

import subprocess
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def make_environment(folder: Path, *names: str) -> Path:
    """Create the environment by links to the files that are installed here, and return its Python."""
    venv.create(folder, symlinks=True)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    for found in _required(names).values():
        root = Path(str(found.locate_file("")))
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            link = site_packages / top
            if not link.exists():
                link.symlink_to(root / top)
    return folder / "bin" / "python"


def _required(names: tuple[str, ...]) -> dict[str, Distribution]:
    """The distributions and all that they require, by name."""
    found: dict[str, Distribution] = {}
    left = [*names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        for line in found[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


def run(python: Path, program: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Run a program there, isolated from this process's paths and from the network."""
    settings = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", **environment}
    command = [str(python), "-I", "-W", "ignore", "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=600)
