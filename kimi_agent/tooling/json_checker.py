"""Validates by a JSON Schema that a stranger may have written, with jsonschema, in bounded time."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import Draft7Validator, Draft202012Validator, validator_for
from referencing import Registry

from kimi_agent.tooling.check_budget import Budget, TooCostlyError, budget
from kimi_agent.tooling.references import Expansion, nodes

__all__ = ["TooCostlyError", "checker", "dialect_of"]

Keyword: TypeAlias = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_MOST_ERRORS = 1_000  # nobody reads more
_MOST_EVALUATED = 1_000  # entries of an object or list, and branches: `unevaluated…` compares each with each
# Keywords that pass on what others found: these have paid for its text.
_PASSING = (
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems", "additionalItems"),
    *("allOf", "if", "dependentSchemas", "dependencies", "extends", "$ref", "$dynamicRef", "$recursiveRef"),
)
# Keywords that go through the whole value, and those that do not go through what they were told.
_THROUGH = ("additionalItems", "additionalProperties", "contains", "items", "propertyNames")
_TOLD_ONCE = ("const", "enum")


def dialect_of(schema: Mapping[str, Any]) -> Any:
    """The validator of the schema's own dialect; where it names none 2020-12's, or draft-07's if only that takes the schema, which
    wrote tuples as `items: [...]`. Raises jsonschema's SchemaError, and RecursionError for a schema of too many levels.
    """
    kind: Any = validator_for(schema, default=Draft202012Validator)
    problem = _problem_of(schema, kind)
    if problem is None:
        return kind
    if "$schema" in schema or _problem_of(schema, Draft7Validator, formats=False) is not None:
        raise SchemaError.create_from(problem)
    return Draft7Validator


def _problem_of(schema: Mapping[str, Any], kind: Any, *, formats: bool = True) -> ValidationError | None:
    """The first that is wrong by the dialect's own schema: jsonschema's `check_schema`, in bounded time."""
    check = _bounded(kind, 0)(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER if formats else None)
    try:
        with _paying_for(schema):
            return next(iter(check.iter_errors(schema)), None)
    except TooCostlyError as e:
        raise SchemaError(f"it is too large to be checked: {e}") from e


@contextmanager
def _paying_for(value: Any) -> Generator[None]:
    token = budget.set(Budget(value))
    try:
        yield
    finally:
        budget.reset(token)


def checker(schema: Mapping[str, Any], dialect: Any, *, follows_all: bool) -> Callable[[Any], list[ValidationError]]:
    """Gives what is wrong with a value, the first thousand errors. Raises TooCostlyError, and whatever jsonschema does for
    references that lead nowhere.

    A string that is too long for a pattern passes it: a wrong refusal would be worse than what the tool has to look at anyway.

    Args:
        follows_all: all references were followed and counted; else `unevaluatedProperties`, which follows them uncounted, is not
            checked.
    """
    validator = _bounded(dialect, _looked_into(schema) if follows_all else 0)(schema, registry=Registry())  # pyright: ignore[reportUnknownArgumentType] - an empty one: nothing is fetched

    def problems(value: Any) -> list[ValidationError]:
        with _paying_for(value):
            return list(islice(validator.iter_errors(value), _MOST_ERRORS))

    return problems


def _looked_into(schema: Mapping[str, Any]) -> int:
    """The most subschemas that `unevaluated…` looks into by itself for one value; 0 where it is not to be checked, as it would
    search by patterns or come to too many."""
    unevaluated, patterned = False, False
    for node in nodes(schema):
        unevaluated |= "unevaluatedProperties" in node or "unevaluatedItems" in node
        patterned |= "patternProperties" in node
    if patterned or not unevaluated:
        return 0
    expansion = Expansion(schema)
    most = expansion.most()
    return most if expansion.is_known and most <= _MOST_EVALUATED else 0


@lru_cache(16)
def _bounded(dialect: Any, looked_into: int) -> Any:
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "uniqueItems": _unique_items,
        "enum": _enum,
        "const": _const,
    }
    known: dict[str, Keyword] = {**dialect.VALIDATORS}
    known |= {k: v for k, v in own.items() if k in known}
    if "additionalProperties" in known:
        known["additionalProperties"] = _additional(known["additionalProperties"])
    for name in ("unevaluatedProperties", "unevaluatedItems"):
        if name in known:
            known[name] = _unevaluated(known[name], looked_into)
    extend: Callable[..., Any] = validators.extend  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    made = extend(dialect, {k: _counted(k, v) for k, v in known.items()})
    made.evolve = _staying(made.evolve)
    made.descend = _paying(made.descend)
    return made


def _staying(evolve: Callable[..., Any]) -> Callable[..., Any]:
    """jsonschema's, which would leave our class for its own wherever a part of the schema says `$schema`."""

    def staying(validator: Any, **changes: Any) -> Any:
        schema = changes.get("schema")
        if isinstance(schema, dict) and "$schema" in schema:
            changes["schema"] = {k: v for k, v in schema.items() if k != "$schema"}  # pyright: ignore[reportUnknownVariableType]
        return evolve(validator, **changes)

    return staying


def _paying(descend: Callable[..., Any]) -> Callable[..., Any]:
    """jsonschema's, which quotes the whole value where the schema is `false`."""

    def paying(validator: Any, instance: Any, schema: Any, *place: Any, **named: Any) -> Any:
        found = descend(validator, instance, schema, *place, **named)
        return budget.get().paid(found) if schema is False else found

    return paying


def _counted(name: str, keyword: Keyword) -> Keyword:
    quotes, through, listed = name not in _PASSING, name in _THROUGH, name not in _TOLD_ONCE

    def counted(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError] | None:
        mine = budget.get()
        mine.pay()
        if through:
            mine.pay_passing(value)
        if listed:
            mine.pay_passing(told)
        errors = keyword(validator, told, value, schema)
        return mine.paid(errors) if quotes and errors is not None else errors

    return counted


def _unique_items(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not told or not isinstance(value, list):
        return
    mine, seen = budget.get(), set[str]()
    for item in value:  # pyright: ignore[reportUnknownVariableType]
        if (text := mine.written(item)) in seen:
            yield ValidationError(f"{value!r} has non-unique elements")
            return
        seen.add(text)


def _enum(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    mine = budget.get()
    if mine.written(value) not in mine.known(told):
        yield ValidationError(f"{value!r} is not one of {told!r}")


def _const(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    mine = budget.get()
    if mine.written(value) != mine.written(told):
        yield ValidationError(f"{told!r} was expected")


def _pattern(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and budget.get().found(told, value) is False:
        yield ValidationError(f"{value!r} does not match {told!r}")


def _pattern_properties(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    mine = budget.get()
    for pattern, inner in told.items():
        for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            mine.pay()
            if mine.found(pattern, key):  # pyright: ignore[reportUnknownArgumentType]
                yield from validator.descend(each, inner, path=key, schema_path=pattern)


def _additional(keyword: Keyword) -> Keyword:
    """jsonschema's, which would search for the patterns with `re`, is left with the properties that no pattern matches."""

    def additional(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError] | None:
        patterns = schema.get("patternProperties")
        if not patterns or not isinstance(value, dict):
            return keyword(validator, told, value, schema)
        mine = budget.get()
        beside = {k for k in value if any(mine.found(p, k) is not False for p in patterns)}  # pyright: ignore
        extra = {k: v for k, v in value.items() if k not in beside}  # pyright: ignore[reportUnknownVariableType]
        return keyword(validator, told, extra, {"properties": schema.get("properties", {})})

    return additional


def _unevaluated(keyword: Keyword, schemas: int) -> Keyword:
    """jsonschema searches for `patternProperties` with `re` here, at any depth, follows references uncounted, and compares each
    entry with each: where that may take long, nothing is checked but the rest."""

    def unevaluated(validator: Any, told: Any, value: Any, schema: Any) -> Iterator[ValidationError] | None:
        entries = len(value) if isinstance(value, dict | list) else 0  # pyright: ignore[reportUnknownArgumentType]
        if not schemas or entries > _MOST_EVALUATED:
            return None
        budget.get().pay(schemas + entries**2 // 256)
        return keyword(validator, told, value, schema)

    return unevaluated
