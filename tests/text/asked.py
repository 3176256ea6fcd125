"""millrace asked by the comparisons: answers, a refusal, or the end of the run where it crashes, hangs or fails otherwise."""
import json
import signal
import subprocess

REFUSED = 4  # exit code of what a file holds and millrace does not do
TIMEOUT = 1800  # seconds


class Refused(Exception):
    """What millrace does not open or do, in its own words."""


class Broken(Exception):
    """millrace crashed, hung, or failed in a way that is no refusal."""


def ask(command, lines):
    """A JSON value for each line of the answer."""
    words = " ".join(map(str, command))
    try:
        done = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Broken(f"{words}: no answer in {TIMEOUT} s") from None
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode == REFUSED:
        raise Refused(last)
    if done.returncode < 0:
        raise Broken(f"{words}: ended by {signal.Signals(-done.returncode).name}: {last}")
    if done.returncode != 0:
        raise Broken(f"{words}: exit code {done.returncode}: {last}")
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]
