"""Source archives of Python packages that hold what tests read (templates, vocabularies): fetched once, checked, never built."""
import hashlib
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "template-sources"
SOURCES = {  # archive: its package and SHA-256
    "llama_cpp_python-0.3.36.tar.gz": ("llama-cpp-python", "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"),
    "vllm-0.33.0.tar.gz": ("vllm", "f4c33c2503d52bb411146afa9618a4f48bed68912f617e6803ac8d76e4c74112"),
}


def _download(package, name, path):
    """From wherever this machine's pip takes packages. `pip download` itself would run the package's own build to name its dependencies."""
    from pip._internal.commands import create_command

    command = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--no-binary", ":all:"])
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session, ignore_requires_python=True)
        links = [candidate.link for candidate in finder.find_all_candidates(package) if candidate.link.filename == name]
        if not links:
            sys.exit(f"{name}: not among the files of {package} that pip finds")
        with session.get(links[0].url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True) as reply, open(path, "wb") as out:
            reply.raise_for_status()
            for block in reply.iter_content(1 << 20):
                out.write(block)


def fetch(name):
    """The path of an archive of SOURCES."""
    path = FOLDER / name
    package, sha256 = SOURCES[name]
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(name + ".partial")
        _download(package, name, partial)
        _check(partial, sha256)
        partial.rename(path)
    _check(path, sha256)
    return path


def _check(path, sha256):
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        sys.exit(f"{path}: expected SHA-256 {sha256}, found {found}")
