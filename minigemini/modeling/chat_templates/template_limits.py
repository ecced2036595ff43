"""Time and memory limits for untrusted chat templates.

Transformers renders templates in Jinja's sandbox, which protects Python's internals but does not limit time or memory:
`{% for i in range(99999) %}` nested three times, `'x' * 10**10`, `'x'|center(10**10)`, or a list doubled forty times.
Here every operation that creates a value checks its size, before creating it where possible, against a multiple of the
size of the inputs, and checks the elapsed time.

Templates of this package, recognized by their text, are rendered without limits.
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

MAX_TEMPLATE_CHARS = 2**17
"""Length of a template; the longest published ones have about 20,000 characters."""
MAX_SECONDS = 2.0
"""CPU time of the thread per rendering; templates take milliseconds."""

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
"""Allowed methods of built-in types: those whose result is not much larger than the inputs."""
_MAX_INDENT = 16
_MAX_NUMBER = 2**63
_SPARE_CHARS = 200_000


class TemplateLimitError(SecurityError):
    """A template exceeds a limit."""


class _Budget(local):
    """Remaining budget of the rendering in this thread. Otherwise, as in compilation, only size is limited."""

    def __init__(self) -> None:
        self.max_size, self.left, self.deadline = _SPARE_CHARS, 64 * _SPARE_CHARS, float("inf")

    def begin(self, given: int) -> None:
        """Start a rendering whose inputs have `given` characters."""
        self.max_size = 4 * given + _SPARE_CHARS
        self.left, self.deadline = 64 * self.max_size, time.thread_time() + MAX_SECONDS

    def end(self) -> None:
        self.__init__()  # type: ignore[misc]

    def spend(self, size: int) -> None:
        """Charge a value to the budget, before it is created if its size is known.

        Raises:
            TemplateLimitError: The value, or the sum of all values, is too large, or time is up.
        """
        self.left -= size
        if size > self.max_size or self.left < 0:
            raise TemplateLimitError(f"the template creates strings or lists of more than {self.max_size:,} characters")
        if time.thread_time() > self.deadline:
            raise TemplateLimitError(f"the template runs for more than {MAX_SECONDS:g} seconds")

    def size(self, value: Any, depth: int = 0) -> int:
        """Number of characters and items of a value, including nested ones, repeated items counted repeatedly."""
        if isinstance(value, str):
            return len(value)
        if isinstance(value, int) and not -_MAX_NUMBER < value < _MAX_NUMBER:
            raise TemplateLimitError(f"the template uses a number beyond {_MAX_NUMBER:,}")
        if not isinstance(value, list | tuple | dict | set):
            return 1
        if depth > 50:
            raise TemplateLimitError("the template nests lists more than 50 deep")
        total = 1
        for item in value.items() if isinstance(value, dict) else value:
            total += self.size(item, depth + 1)
            if total > self.max_size:
                raise TemplateLimitError(
                    f"the template creates strings or lists of more than {self.max_size:,} characters"
                )
        return total


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with limits on size and time."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, like: ImmutableSandboxedEnvironment) -> None:
        self.budget = _Budget()
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[type(extension) for extension in like.extensions.values()],
            finalize=self.charge,
        )
        self.template_class = LimitedTemplate
        known = {name: function for name, function in like.filters.items() if name in _FILTERS}
        self.filters = {name: self._bounded(name, function) for name, function in known.items()}
        self.filters |= {"_charged": self.charge, "_joined": self._joined, "_counted": self._counted}
        unsafe = ("lipsum", "cycler", "joiner")
        self.globals = {name: value for name, value in like.globals.items() if name not in unsafe}

    def charge(self, value: Any) -> Any:
        """Charge a new value to the budget and return it; iterators are charged item by item."""
        if isinstance(value, Iterator):
            return map(self.charge, value)
        self.budget.spend(self.budget.size(value))
        return value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Evaluate `+`, `*`, `**` or `%` within the budget."""
        sizes = self.budget.size(left), self.budget.size(right)
        if operator == "%" and isinstance(left, str):
            raise TemplateLimitError("the template formats strings with %")
        if operator == "**" and not (abs(left) <= 2**16 and 0 <= right <= 3):
            raise TemplateLimitError("the template raises numbers to large powers")
        repeats = [x for x in (left, right) if isinstance(x, int) and x > 1] if operator == "*" else []
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        self.budget.spend(sum(sizes) if is_number or not repeats else sum(sizes) * repeats[0])
        return self.charge(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a macro, a function, or an allowed method, within the budget."""
        self, owner, name = __self, getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if name in ("format", "format_map") or name not in _METHODS.get(type(owner), (name,)):
            raise TemplateLimitError(f"the template calls {name}, which can create large values from small ones")
        args = tuple(self.charge(arg) for arg in args)
        if isinstance(owner, str):
            self._charge_expansion(name, (owner, *args))
        self.budget.spend(1)
        return self.charge(super().call(__context, __obj, *args, **{key: self.charge(x) for key, x in kwargs.items()}))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Wrap loops, concatenations and lists in filters that charge them to the budget."""
        tree = super()._parse(source, name, filename)
        _rewrite_children(tree)
        return tree

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a filter so that its inputs and output are charged to the budget."""
        hidden = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = [self.charge(arg) for arg in args[hidden:]]
            self._charge_expansion(name, given, kwargs)
            return self.charge(function(*args[:hidden], *given, **kwargs))

        return run

    def _charge_expansion(self, name: str, given: Iterable[Any], named: dict[str, Any] | None = None) -> None:
        """Charge the result of an expanding filter or method before it runs. `given` starts with the filtered value."""
        value, *rest = given
        named = {key: self.charge(argument) for key, argument in (named or {}).items()}
        if name == "replace" and isinstance(value, str):
            old, new = ([*rest, named.get("old"), named.get("new")])[:2]
            if isinstance(old, str) and isinstance(new, str):
                self.budget.spend(len(value) + value.count(old) * len(new))
        if name == "join":
            # As a filter, the value is the list of parts; as a string method, it is the separator.
            between, parts = (rest or [named.get("d", "")])[0], value
            if isinstance(value, str) and rest and not isinstance(rest[0], str):
                between, parts = value, rest[0]
            if isinstance(between, str) and isinstance(parts, str | list | tuple | dict | set):
                self.budget.spend(self.budget.size(parts) + len(parts) * len(between))
        widths = [*rest, *named.values()] if name in ("indent", "tojson") else []
        for width in widths:
            chars = len(width) if isinstance(width, str) else width if isinstance(width, int) else 0
            if chars > _MAX_INDENT:
                raise TemplateLimitError(f"the template indents by more than {_MAX_INDENT} characters")

    def _joined(self, values: Iterable[Any]) -> str:
        """Implement `~`, string concatenation."""
        texts = [str(self.charge(value)) for value in values]
        self.budget.spend(sum(map(len, texts)))
        return "".join(texts)

    def _counted(self, values: Iterable[Any], chars: int) -> Any:
        """Wrap the iterable of a loop to charge each iteration with the `chars` of literal text in its body."""
        if isinstance(values, list | tuple | dict | set | str | range):
            self.charge(values)
        return _Counted(values, lambda: self.budget.spend(chars + 1))


class _Counted:
    """An iterable that calls `tick` per item and keeps its length, which loops need."""

    def __init__(self, values: Iterable[Any], tick: Callable[[], None]) -> None:
        self._values, self._tick = values, tick

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            self._tick()
            yield value

    def __len__(self) -> int:
        return len(self._values)  # type: ignore[arg-type]


class LimitedTemplate(Template):
    """A template whose only exception is `TemplateError`."""

    environment: LimitedEnvironment

    def render(self, *args: Any, **kwargs: Any) -> str:
        return "".join(self.generate(*args, **kwargs))

    def generate(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        budget = self.environment.budget
        budget.max_size = 2**40  # the caller's inputs are not limited
        given = budget.size(dict(*args, **kwargs))
        budget.begin(given)
        written = 0
        try:
            for piece in super().generate(*args, **kwargs):
                written += len(piece)
                if written > 2 * given + _SPARE_CHARS:
                    raise TemplateLimitError(f"the template writes more than {2 * given + _SPARE_CHARS:,} characters")
                yield piece
        except TemplateError:
            raise
        except Exception as error:  # noqa: BLE001 (caused by the template, such as a type error or endless recursion)
            raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from None
        finally:
            budget.end()


def limit_template(template: str) -> None:
    """Make Transformers render a template with limits from now on, everywhere in this process.

    Raises:
        TemplateError: The template is too long, or does not compile.
    """
    if len(template) > MAX_TEMPLATE_CHARS:
        raise TemplateError(f"the template has {len(template):,} characters, more than {MAX_TEMPLATE_CHARS:,}")
    _compile_limited(template)
    _LIMITED.add(template)


@lru_cache
def _compile_limited(template: str) -> Template:
    try:
        return LimitedEnvironment(cast(ImmutableSandboxedEnvironment, _compile("").environment)).from_string(template)
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001 (such as too deep nesting, or a number with too many digits)
        raise TemplateError(f"{type(error).__name__}: {error}") from None


def _rewrite_children(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_rewrite_node(item) if isinstance(item, nodes.Node) else item for item in value]
        elif isinstance(value, nodes.Node):
            setattr(node, name, _rewrite_node(value))


def _rewrite_node(node: nodes.Node) -> nodes.Node:
    _rewrite_children(node)
    if isinstance(node, nodes.For):
        chars = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node.iter = _filter(node.iter, "_counted", [nodes.Const(chars)])
    if isinstance(node, nodes.Concat):
        return _filter(nodes.List(node.nodes), "_joined")
    is_collection = isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    if is_collection and not all(isinstance(child, nodes.Const) for child in node.iter_child_nodes()):
        return _filter(node, "_charged")
    return node


def _filter(node: nodes.Node, name: str, args: list[nodes.Node] | None = None) -> nodes.Filter:
    filtered = nodes.Filter(node, name, args or [], [], None, None, lineno=node.lineno)
    filtered.environment = node.environment
    return filtered


_LIMITED: set[str] = set()
_compile: Callable[[str], Template] = chat_template_utils._compile_jinja_template


def _compile_within_limits(chat_template: str) -> Template:
    return _compile_limited(chat_template) if chat_template in _LIMITED else _compile(chat_template)


# Transformers has no setting for the rendering environment, but all its rendering goes through this function.
chat_template_utils._compile_jinja_template = _compile_within_limits  # type: ignore[assignment]
