"""Chat templates of other people, rendered within limits.

Transformers renders a template in Jinja's sandbox, which keeps it from Python's internals, but not from using all time
and memory: `{% for i in range(99999) %}` nested three times, `'x' * 10**10`, `'x'|center(10**10)`, a list of itself
doubled forty times. Here each operation that makes a value checks it beforehand or at once, so that no value is larger
than a multiple of what goes in, and looks at the clock.

What is ours, recognized by its text, is rendered as it is.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, wraps
from threading import local
from typing import Any, cast

from jinja2 import Template, TemplateError, TemplateRuntimeError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils import chat_template_utils

MOST_CHARS = 2**17
"""Of a template; the longest that are published have about 20,000."""
SECONDS = 2.0
"""Of a thread's own time per rendering; templates take milliseconds."""

_FILTERS = frozenset((
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby", "indent",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "title", "tojson", "trim", "unique",
    "upper",
))  # fmt: skip
_STRING_METHODS = frozenset((
    "capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal", "isdigit", "islower",
    "isnumeric", "isspace", "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
    "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
    "swapcase", "title", "upper",
))  # fmt: skip
_METHODS: dict[type, frozenset[str]] = {
    str: _STRING_METHODS,
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
    **dict.fromkeys((int, float, bool, bytes), frozenset()),
}
"""Of Python's own types, what cannot make much of little."""
_MOST_INDENT = 16
_MOST_NUMBER = 2**63
_SPARE_CHARS = 200_000


class TooMuchError(SecurityError):
    """A template that asks for more than a prompt can need."""


class _Budget(local):
    """What the rendering in this thread may use; without one, as while compiling, sizes alone are bounded."""

    def __init__(self) -> None:
        self.most, self.left, self.ends = _SPARE_CHARS, 64 * _SPARE_CHARS, float("inf")

    def begin(self, given: int) -> None:
        """For inputs of so many characters."""
        self.most = 4 * given + _SPARE_CHARS
        self.left, self.ends = 64 * self.most, time.thread_time() + SECONDS

    def end(self) -> None:
        self.__init__()  # type: ignore[misc]

    def spend(self, size: int) -> None:
        """Account for a value, before it is made where that is known.

        Raises:
            TooMuchError: It, or all so far, are too large, or the time is over.
        """
        self.left -= size
        if size > self.most or self.left < 0:
            raise TooMuchError(f"it makes texts or lists of more than {self.most:,} characters")
        if time.thread_time() > self.ends:
            raise TooMuchError(f"it runs for more than {SECONDS:g} seconds")

    def size(self, value: Any, depth: int = 0) -> int:
        """Characters and items of a value, all that it holds counted as often as it holds it."""
        if isinstance(value, str):
            return len(value)
        if isinstance(value, int) and not -_MOST_NUMBER < value < _MOST_NUMBER:
            raise TooMuchError(f"it counts beyond {_MOST_NUMBER:,}")
        if not isinstance(value, list | tuple | dict | set):
            return 1
        if depth > 50:
            raise TooMuchError("it nests lists more than 50 deep")
        total = 1
        for item in value.items() if isinstance(value, dict) else value:
            total += self.size(item, depth + 1)
            if total > self.most:
                raise TooMuchError(f"it makes texts or lists of more than {self.most:,} characters")
        return total


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with a budget of size and time."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, like: ImmutableSandboxedEnvironment) -> None:
        self.budget = _Budget()
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[type(extension) for extension in like.extensions.values()],
            finalize=self.made,
        )
        self.template_class = LimitedTemplate
        known = {name: function for name, function in like.filters.items() if name in _FILTERS}
        self.filters = {name: self._bounded(name, function) for name, function in known.items()}
        self.filters |= {"_made": self.made, "_joined": self._joined, "_counted": self._counted}
        unsafe = ("lipsum", "cycler", "joiner")
        self.globals = {name: value for name, value in like.globals.items() if name not in unsafe}

    def made(self, value: Any) -> Any:
        """A value that was just made, accounted for; one that makes its items as they are asked for, item by item."""
        if isinstance(value, Iterator):
            return map(self.made, value)
        self.budget.spend(self.budget.size(value))
        return value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Work out `+`, `*`, `**` or `%`."""
        sizes = self.budget.size(left), self.budget.size(right)
        if operator == "%" and isinstance(left, str):
            raise TooMuchError("it formats texts by %")
        if operator == "**" and not (abs(left) <= 2**16 and 0 <= right <= 3):
            raise TooMuchError("it raises numbers to large powers")
        repeats = [x for x in (left, right) if isinstance(x, int) and x > 1] if operator == "*" else []
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        self.budget.spend(sum(sizes) if is_number or not repeats else sum(sizes) * repeats[0])
        return self.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a macro, a function, or a method of a text that cannot make much of little."""
        self, owner, name = __self, getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if name in ("format", "format_map") or name not in _METHODS.get(type(owner), (name,)):
            raise TooMuchError(f"it calls {name}, which may make much of little")
        args = tuple(self.made(arg) for arg in args)
        if isinstance(owner, str):
            self._before(name, (owner, *args))
        self.budget.spend(1)
        return self.made(super().call(__context, __obj, *args, **{key: self.made(x) for key, x in kwargs.items()}))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Have loops, joined texts and lists pass through the filters that account for them."""
        tree = super()._parse(source, name, filename)
        _rewrite(tree)
        return tree

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose inputs and output are accounted for."""
        hidden = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = [self.made(arg) for arg in args[hidden:]]
            self._before(name, given, kwargs)
            return self.made(function(*args[:hidden], *given, **kwargs))

        return run

    def _before(self, name: str, given: Iterable[Any], named: dict[str, Any] | None = None) -> None:
        """Refuse what would make much of little; arguments as of a filter, the value first."""
        value, *rest = given
        named = {key: self.made(argument) for key, argument in (named or {}).items()}
        if name == "replace" and isinstance(value, str):
            old, new = ([*rest, named.get("old"), named.get("new")])[:2]
            if isinstance(old, str) and isinstance(new, str):
                self.budget.spend(len(value) + value.count(old) * len(new))
        if name == "join":
            # As a filter, between what is first; as a method of the text between, what comes second.
            between, parts = (rest or [named.get("d", "")])[0], value
            if isinstance(value, str) and rest and not isinstance(rest[0], str):
                between, parts = value, rest[0]
            if isinstance(between, str) and isinstance(parts, str | list | tuple | dict | set):
                self.budget.spend(self.budget.size(parts) + len(parts) * len(between))
        widths = [*rest, *named.values()] if name in ("indent", "tojson") else []
        for width in widths:
            chars = len(width) if isinstance(width, str) else width if isinstance(width, int) else 0
            if chars > _MOST_INDENT:
                raise TooMuchError(f"it indents by more than {_MOST_INDENT} characters")

    def _joined(self, values: Iterable[Any]) -> str:
        """What `~` does."""
        texts = [str(self.made(value)) for value in values]
        self.budget.spend(sum(map(len, texts)))
        return "".join(texts)

    def _counted(self, values: Iterable[Any], chars: int) -> Any:
        """What a loop goes through, each turn accounted for with the plain text that it writes."""
        if isinstance(values, list | tuple | dict | set | str | range):
            self.made(values)
        return _Counted(values, lambda: self.budget.spend(chars + 1))


class _Counted:
    """An iterable that keeps its length, which loops ask for."""

    def __init__(self, values: Iterable[Any], tick: Callable[[], None]) -> None:
        self._values, self._tick = values, tick

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            self._tick()
            yield value

    def __len__(self) -> int:
        return len(self._values)  # type: ignore[arg-type]


class LimitedTemplate(Template):
    """A template that fails by `TemplateError` alone, whatever goes wrong in it."""

    environment: LimitedEnvironment

    def render(self, *args: Any, **kwargs: Any) -> str:
        return "".join(self.generate(*args, **kwargs))

    def generate(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        budget = self.environment.budget
        budget.most = 2**40  # what the caller gives is not the template's doing
        given = budget.size(dict(*args, **kwargs))
        budget.begin(given)
        written = 0
        try:
            for piece in super().generate(*args, **kwargs):
                written += len(piece)
                if written > 2 * given + _SPARE_CHARS:
                    raise TooMuchError(f"it writes more than {2 * given + _SPARE_CHARS:,} characters")
                yield piece
        except TemplateError:
            raise
        except Exception as error:  # noqa: BLE001 (it is the template's: a sum of text and number, endless recursion)
            raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from None
        finally:
            budget.end()


def limit_template(template: str) -> None:
    """Have Transformers render a template within limits from now on, wherever it does so in this process.

    Raises:
        TemplateError: It is too long, or cannot be compiled.
    """
    if len(template) > MOST_CHARS:
        raise TemplateError(f"it has {len(template):,} characters, more than {MOST_CHARS:,}")
    _compile_limited(template)
    _LIMITED.add(template)


@lru_cache
def _compile_limited(template: str) -> Template:
    try:
        return LimitedEnvironment(cast(ImmutableSandboxedEnvironment, _compile("").environment)).from_string(template)
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001 (nested too deeply for Python, a number of too many digits)
        raise TemplateError(f"{type(error).__name__}: {error}") from None


def _rewrite(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_rewritten(item) if isinstance(item, nodes.Node) else item for item in value]
        elif isinstance(value, nodes.Node):
            setattr(node, name, _rewritten(value))


def _rewritten(node: nodes.Node) -> nodes.Node:
    _rewrite(node)
    if isinstance(node, nodes.For):
        chars = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node.iter = _filter(node.iter, "_counted", [nodes.Const(chars)])
    if isinstance(node, nodes.Concat):
        return _filter(nodes.List(node.nodes), "_joined")
    made = isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    if made and not all(isinstance(child, nodes.Const) for child in node.iter_child_nodes()):
        return _filter(node, "_made")
    return node


def _filter(node: nodes.Node, name: str, args: list[nodes.Node] | None = None) -> nodes.Filter:
    made = nodes.Filter(node, name, args or [], [], None, None, lineno=node.lineno)
    made.environment = node.environment
    return made


_LIMITED: set[str] = set()
_compile: Callable[[str], Template] = chat_template_utils._compile_jinja_template


def _compile_within_limits(chat_template: str) -> Template:
    return _compile_limited(chat_template) if chat_template in _LIMITED else _compile(chat_template)


# Transformers has no setting for the environment that it renders in; all its ways of rendering go through this name.
chat_template_utils._compile_jinja_template = _compile_within_limits  # type: ignore[assignment]
