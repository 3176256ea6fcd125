"""Chat templates as the package `transformers` renders them: the oracle of the template tests.

The environment is the package's own: an immutable sandbox of jinja2 with trim_blocks, lstrip_blocks and loop controls, json.dumps as
`tojson`, raise_exception, strftime_now, the tag `generation`, and its own `dict` and `namespace`.
"""
import copy
import datetime
import functools
import os
import time

import pinned_python

PACKAGES = ["jinja2==3.1.6", "transformers==5.23.0", "numpy==2.2.6", "mistral-common==1.13.1"]
NOW = 1_700_000_000  # the moment of every render, in UTC


def enter_venv():
    """Starts this script again with the packages, in a virtual environment of the template tests' own."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    pinned_python.enter("templates", PACKAGES)


class FrozenTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, tz)


def make_environment():
    from transformers.utils import chat_template_utils

    os.environ["TZ"] = "UTC"
    time.tzset()
    chat_template_utils.datetime = FrozenTime
    return chat_template_utils._cached_compile_jinja_template("").environment


@functools.cache
def environment():
    return make_environment()


@functools.lru_cache(maxsize=4)
def compiled(source):
    return environment().from_string(source)


def render(source, context):
    """("output", text) or ("error", reason). The context stays as it is, though the filter `indent` would change a list."""
    try:
        return "output", compiled(source).render(**copy.deepcopy(context))
    except Exception as error:  # whatever Python raises, the template has failed
        return "error", f"{type(error).__name__}: {error}"
