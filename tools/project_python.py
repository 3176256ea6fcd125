"""Tools that need a package of the project's Python environment, build/venv, and may be started by any Python: `require` first, then import
the package."""

import importlib.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv"


def _pinned(package):
    lines = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(package + "=="))


def require(package):
    """Returns where `package` can be imported; else starts this program again in build/venv, made and filled as far as it is missing."""
    if importlib.util.find_spec(package) is not None:
        return
    if pathlib.Path(sys.prefix) == VENV:
        install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", _pinned(package)]
        subprocess.run(install, check=True, stdout=sys.stderr)
        return
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, stdout=sys.stderr)
    os.execv(VENV / "bin" / "python", [VENV / "bin" / "python", *sys.argv])
