"""jinja2 as chat templates are rendered with it: the oracle of the template tests.

An immutable sandbox with trim_blocks, lstrip_blocks and loop controls; json.dumps as `tojson`; raise_exception; strftime_now; and
the tag `generation`, which only marks the assistant's text and renders as its body.
"""
import copy
import json
from datetime import datetime, timezone

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

NOW = 1_700_000_000  # the moment of every render, UTC


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.fromtimestamp(NOW, timezone.utc).strftime(form)
    return environment


ENVIRONMENT = make_environment()


def render(source, context):
    """("output", text) or ("error", reason). The context stays as it is, though the filter `indent` would change a list."""
    try:
        return "output", ENVIRONMENT.from_string(source).render(**copy.deepcopy(context))
    except Exception as error:  # whatever Python raises, the template has failed
        return "error", f"{type(error).__name__}: {error}"
