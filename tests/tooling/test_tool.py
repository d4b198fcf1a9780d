"""`tool` and `Tool`: what can be made a tool, how it is called, and what it keeps."""

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from calling import answer, answers, offered

from kimi_agent import Agent, RunContext, ScriptedModel, Tool, ToolDefinitionError, call, tool

pytestmark = pytest.mark.anyio


@tool(timeout=10, idempotent=True)
def add(a: int, b: int = 2) -> int:
    """Adds."""
    return a + b


class Counter:
    """Counts by itself."""

    def __init__(self, step: int) -> None:
        self.step, self.count = step, 0

    @tool(repeatable=True)
    def up(self, times: int = 1) -> int:
        """Counts up."""
        self.count += self.step * times
        return self.count

    @tool
    async def later(self, ctx: RunContext[int]) -> int:
        """Counts up by what the run brings."""
        self.count += ctx.deps
        return self.count

    def plain(self, n: int) -> int:
        """Not marked as a tool."""
        return self.count + n

    @tool
    @staticmethod
    def inner_static(n: int) -> int:
        """Static."""
        return n

    @staticmethod
    @tool
    def outer_static(n: int) -> int:
        """Static."""
        return n

    @tool
    @classmethod
    def inner_class(cls, n: int) -> str:
        """Class."""
        return f"{cls.__name__} {n}"

    @classmethod
    @tool(timeout=7)
    def outer_class(cls, n: int) -> str:
        """Class."""
        return f"{cls.__name__} {n}"


def test_a_tool_stays_the_function_that_it_was() -> None:
    assert add(1) == 3
    assert add(1, b=5) == 6
    assert str(inspect.signature(add)) == "(a: int, b: int = 2) -> int"
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Adds.", __name__)
    assert (add.name, add.description, repr(add)) == ("add", "Adds.", "Tool(add)")
    assert isinstance(add, Tool)
    assert callable(add)


async def test_the_model_is_told_name_description_and_parameters() -> None:
    spec = (await offered([add]))["add"]
    assert spec.description == "Adds."
    assert spec.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["a"],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
    }


async def test_an_async_tool_is_awaited_by_hand_too() -> None:
    @tool
    async def double(n: int) -> int:
        return 2 * n

    assert await double(4) == 8
    assert await answer(double, n=4) == "8"
    assert double.is_async


async def test_each_object_has_tools_of_its_own() -> None:
    one, ten = Counter(1), Counter(10)
    assert list(one.up.parameters["properties"]) == ["times"]
    assert one.up.rules.repeatable
    assert await answer(one.up) == "1"
    assert await answer(ten.up, times=2) == "20"
    assert (one.count, ten.count, one.up(), ten.up(3)) == (1, 20, 2, 50)
    assert await answer(one.later, deps=5) == "7"
    assert await answer(tool(ten.plain), n=1) == "51"


def test_a_method_without_its_object_says_what_to_do() -> None:
    with pytest.raises(ToolDefinitionError, match=r"Counter\.up is a method without its object: pass it as `its_object\.up`"):
        _ = Counter.up.parameters
    with pytest.raises(ToolDefinitionError, match="method without its object"):
        _ = tool(Counter.plain).parameters


async def test_static_and_class_methods_in_either_order() -> None:
    for holder in (Counter, Counter(1)):
        for name, expected in (
            ("inner_static", "3"),
            ("outer_static", "3"),
            ("inner_class", "Counter 3"),
            ("outer_class", "Counter 3"),
        ):
            made = tool(getattr(holder, name))
            assert made.parameters["properties"] == {"n": {"type": "integer"}}, name
            assert await answer(made, n="3") == expected, name
            assert str(getattr(holder, name)(3)) == expected
    assert tool(Counter.outer_class).rules.timeout == 7


async def test_a_class_method_knows_the_subclass() -> None:
    class Sub(Counter): ...

    assert await answer(Sub.inner_class, n=1) == "Sub 1"
    assert await answer(tool(Sub.outer_class), n=1) == "Sub 1"


async def test_callables_as_class_attributes_are_not_bound() -> None:
    class Adder:
        def __call__(self, n: int) -> int:
            return n + 1

    class Holder:
        object_ = tool(Adder(), name="o")
        partial = tool(functools.partial(max, 3), name="p", parameters={"type": "object"})

    assert await answer(Holder().object_, n=1) == "2"
    assert Holder().partial(5) == 5


async def test_callable_objects_sync_and_async() -> None:
    class Greeter:
        def __init__(self, greeting: str) -> None:
            self.greeting = greeting

        def __call__(self, name: str) -> str:
            return f"{self.greeting}, {name}"

    class Slow(Greeter):
        async def __call__(self, name: str) -> str:  # type: ignore[override]
            await asyncio.sleep(0)
            return f"{self.greeting} slowly, {name}"

    assert await answer(tool(Greeter("Hi")), name="A") == "Hi, A"
    assert tool(Greeter("Hi")).name == "Greeter"
    assert tool(Slow("Hi")).is_async
    assert await answer(tool(Slow("Hi"), name="slow"), name="A") == "Hi slowly, A"


async def test_lambdas_need_a_name() -> None:
    with pytest.raises(ToolDefinitionError, match="a lambda has no name"):
        tool(lambda x: x)
    with pytest.raises(ToolDefinitionError, match="a lambda has no name"):
        Agent(ScriptedModel([]), tools=[lambda x: x])
    assert await answer(tool(lambda x, y=1: x + y, name="plus"), x=1) == "2"


@pytest.mark.parametrize("name", ["", "with space", "1st", "a" * 65, "名字", "a/b", "-a", "a\n"])
def test_names_that_endpoints_refuse(name: str) -> None:
    with pytest.raises(ToolDefinitionError, match="is no name for a tool"):
        tool(add.function, name=name)
    with pytest.raises(ToolDefinitionError, match="is no name for a tool"):
        add.renamed(name)


@pytest.mark.parametrize("thing", [42, "add", None, ["add"], {"a": 1}])
def test_what_is_no_function(thing: Any) -> None:
    if thing is not None:
        with pytest.raises(ToolDefinitionError, match="a tool is made of a function, not of"):
            tool(thing)
    with pytest.raises(ToolDefinitionError, match="is no tool: pass a function"):
        Agent(ScriptedModel([]), tools=[thing])


def test_options_that_do_not_exist() -> None:
    with pytest.raises(ToolDefinitionError, match="timeot"):
        tool(add.function, timeot=3)  # type: ignore[call-overload]
    with pytest.raises(ToolDefinitionError, match="timeot"):
        tool(timeot=3)(add.function)  # type: ignore[call-overload]


async def test_a_tool_of_a_tool_keeps_its_options_but_those_that_are_given() -> None:
    again = tool(add, name="plus", sequential=True)
    assert (again.name, again.description) == ("plus", "Adds.")
    assert (again.rules.timeout, again.rules.idempotent, again.rules.sequential) == (10, True, True)
    assert again.parameters == add.parameters
    assert await answer(again, a="1") == "3"
    assert not add.rules.sequential


def test_renamed_and_with_rules_keep_the_rest() -> None:
    other = add.renamed("sum").with_rules(timeout=1)
    assert (other.name, other.description, other.rules.timeout, other.rules.idempotent) == ("sum", "Adds.", 1, True)
    assert other(1, 1) == 2
    assert (add.name, add.rules.timeout) == ("add", 10)


def test_inherited_and_overridden_tools() -> None:
    class Base:
        @tool
        def run(self, n: int) -> str:
            """Base."""
            return f"base {n}"

    class Sub(Base):
        @tool
        def run(self, n: int) -> str:
            """Sub."""
            return f"sub, {super().run(n)}"

    assert Sub().run(1) == "sub, base 1"
    assert Sub().run.description == "Sub."


async def test_sync_functions_run_in_a_thread_and_async_ones_on_the_loop() -> None:
    loop_thread = threading.current_thread()
    seen: dict[str, bool] = {}

    def sync() -> None:
        seen["sync"] = threading.current_thread() is loop_thread

    async def on_loop() -> None:
        seen["async"] = threading.current_thread() is loop_thread

    await answers([sync, on_loop], call("sync"), call("on_loop"))
    assert seen == {"sync": False, "async": True}


async def test_a_sync_function_that_returns_an_awaitable() -> None:
    async def really(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    def wrapped(n: int) -> Any:
        return really(n)

    @functools.wraps(really)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return really(*args, **kwargs)

    assert await answer(wrapped, n=1) == "2"
    assert await answer(tool(decorated), n="1") == "2"
    assert await answer(tool(lambda n: really(n), name="l"), n=1) == "2"
    assert await answer(tool(functools.partial(really, 4), name="p")) == "5"


async def test_generators_are_read_to_their_end() -> None:
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    async def acount(to: int) -> AsyncIterator[int]:
        for i in range(to):
            yield i

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("half way")

    assert await answer(count, to=3) == "[0, 1, 2]"
    assert await answer(acount, to=3) == "[0, 1, 2]"
    assert await answer(broken) == "ERROR ValueError: half way"


async def test_what_goes_wrong_is_told_to_the_model() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fails(kind: str) -> None:
        raise {
            "key": KeyError("x"),
            "stop": StopIteration(3),
            "exit": SystemExit(2),
            "empty": ValueError(),
            "silent": Silent(),
            "time": TimeoutError("theirs"),
        }[kind]

    async def fails_async(kind: str) -> None:
        fails(kind)

    for f in (fails, fails_async):
        assert await answer(f, kind="key") == "ERROR KeyError: 'x'"
        assert await answer(f, kind="exit") == "ERROR SystemExit: 2"
        assert await answer(f, kind="empty") == "ERROR ValueError"
        assert await answer(f, kind="time") == "ERROR TimeoutError: theirs"
        assert (await answer(f, kind="silent")).startswith("ERROR Silent: ")
        assert (await answer(f, kind="stop")).startswith("ERROR RuntimeError: ")


async def test_the_model_calls_a_function_with_too_few_arguments_and_is_told() -> None:
    text = await answer(add.function, b=1)
    assert text.startswith("ERROR Invalid arguments for add:\na: required, but missing\nParameters: {")


def test_agents_take_functions_methods_and_tools_alike() -> None:
    def free(n: int) -> int:
        return n

    counter = Counter(2)
    model = ScriptedModel([[call("free", n=1), call("up"), call("plain", n=1), call("add", a=1)], "done"])
    result = Agent(model, tools=[free, counter.up, counter.plain, add], tool_concurrency=1).run_sync("go")
    assert [m.text for m in model.requests[1].messages[-4:]] == ["1", "2", "3", "3"]  # type: ignore[union-attr]
    assert result.output == "done"


def test_decorating_twice_by_name_only() -> None:
    made: Callable[..., Any] = tool(name="first")(tool(name="second")(add.function))
    assert isinstance(made, Tool)
    assert made.name == "first"
