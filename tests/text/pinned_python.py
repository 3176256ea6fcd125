"""Python environments of pinned packages for the scripts here, under build/venvs. A change of the pins makes the environment anew, as does a
run that was cut off while it was made."""
import hashlib
import os
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "venvs"


def start_in(folder):
    """Starts this program again with the Python of an environment, unless that one runs already."""
    if pathlib.Path(sys.prefix).resolve() != pathlib.Path(folder).resolve():
        python = pathlib.Path(folder) / "bin" / "python"
        os.execv(python, [str(python), *sys.argv])


def enter(name, packages):
    """Starts this program again in build/venvs/NAME with exactly these requirements. Before what needs them is imported."""
    folder = FOLDER / name
    pins = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    marker = folder / f"installed-{pins}"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=sys.stderr)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        marker.touch()
    start_in(folder)
