"""What every paired benchmark shares: the interval of interleaved ratios, the verdict on it, and the state of the machine."""

import math
import os
import pathlib
import statistics

# Two-sided 95 % of Student's t, by degrees of freedom.
T95 = {4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131,
       16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093}
ROUNDS = range(5, 21)  # what T95 covers


def interval(ratios):
    """95 % interval of the mean log ratio, as a ratio."""
    logs = [math.log(r) for r in ratios]
    half = T95[len(logs) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    mean = statistics.mean(logs)
    return math.exp(mean - half), math.exp(mean + half)


def ticks():
    """(stolen by the hypervisor, all), of all processors since boot."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return fields[7], sum(fields)


def machine(threads, before):
    """The fields that every report begins with; `before` is ticks() of the start."""
    after = ticks()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "threads": threads,
            "load": {"load_1min": os.getloadavg()[0], "steal": (after[0] - before[0]) / max(1, after[1] - before[1])}}
