"""Docstrings: what the model is told in words."""

import functools
import inspect
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field

from kimi_agent import tool


def google(city: str, unit: str = "c", **more: str) -> None:
    """Current weather.

    Looks it up,
    and says it.

    Args:
        city: Name of the city,
            with its country.

            Never empty.
        unit (str, optional): c or f.
        **more: Passed on.

    Returns:
        dict: The weather.

    Raises:
        ValueError: There is no such city.

    Examples:
        >>> google("Beijing")
    """


def numpy(city: str, unit: str = "c", **more: str) -> None:
    """Current weather.

    Looks it up,
    and says it.

    Parameters
    ----------
    city : str
        Name of the city,
        with its country.

        Never empty.
    unit : {"c", "f"}, optional
        c or f.
    **more
        Passed on.

    Returns
    -------
    dict
        The weather.

    Raises
    ------
    ValueError
        There is no such city.

    Examples
    --------
    >>> numpy("Beijing")
    """


def sphinx(city: str, unit: str = "c", **more: str) -> None:
    """Current weather.

    Looks it up,
    and says it.

    :param city: Name of the city,
        with its country.
        Never empty.
    :param str unit: c or f.
    :type city: str
    :returns: The weather.
    :rtype: dict
    :raises ValueError: There is no such city.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_three_styles_say_the_same(function: Callable[..., Any]) -> None:
    made = tool(function)
    assert made.description == "Current weather.\n\nLooks it up,\nand says it."
    properties = made.parameters["properties"]
    assert properties["city"] == {"type": "string", "description": "Name of the city, with its country. Never empty."}
    assert properties["unit"] == {"type": "string", "default": "c", "description": "c or f."}


def described(text: str | None) -> str:
    def f(x: int = 0) -> None: ...

    f.__doc__ = text
    return tool(f).description


@pytest.mark.parametrize("text", [None, "", "  \n ", "\n    Args:\n        x: an x\n    "])
def test_nothing_said(text: str | None) -> None:
    assert described(text) == ""


def test_a_docstring_that_is_all_parameters() -> None:
    def f(x: int) -> None:
        """
        Args:
            x: The x.
        """

    assert tool(f).parameters["properties"]["x"]["description"] == "The x."


@pytest.mark.parametrize(
    "text", ["One line.", "Do: this", "@param x: epytext", "Do.\n\nModes:\n- fast: quick\n- slow: slow", ":param", "多行\n\n说明"]
)
def test_no_known_style_is_all_description(text: str) -> None:
    assert described(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Pays.\n\n    Note:\n        Times are in UTC.\n\n    Args:\n        x: what\n",
        "Pays.\n\n    Args:\n        x: what\n\n    Important:\n        Times are in UTC.\n",
        "Pays.\n\n    Parameters\n    ----------\n    x : int\n        what\n\n    Notes\n    -----\n    Times are in UTC.\n",
    ],
)
def test_notes_reach_the_model(text: str) -> None:
    """Whoever writes "Important: …" in a tool's docstring writes it for the model."""
    assert described(text).startswith("Pays.")
    assert described(text).endswith(":\nTimes are in UTC.")


def test_who_wins_where_a_parameter_is_described_twice() -> None:
    def f(a: Annotated[int, Field(description="field")], b: Annotated[int, "annotated"], c: Annotated[int, "annotated"]) -> None:
        """Does.

        Args:
            a: docstring
            b: docstring
        """

    said = {name: p["description"] for name, p in tool(f).parameters["properties"].items()}
    assert said == {"a": "field", "b": "docstring", "c": "annotated"}


def test_a_parameter_that_the_function_does_not_have_is_not_offered() -> None:
    def f(a: int) -> None:
        """Does.

        Args:
            b: Gone.
        """

    assert tool(f).parameters["properties"] == {"a": {"type": "integer"}}


def test_a_callable_object_is_described_by_its_call_or_its_class() -> None:
    class Call:
        """The class."""

        def __call__(self, x: int) -> None:
            """The call.

            Args:
                x: The x.
            """

    class Bare:
        """The class."""

        def __call__(self) -> None: ...

    assert tool(Call()).description == "The call."
    assert tool(Call()).parameters["properties"]["x"]["description"] == "The x."
    assert tool(Bare()).description == "The class."
    assert tool(Bare).description == "The class."
    assert tool(functools.partial(google, "Beijing")).description.startswith("Current weather.")


def test_a_description_of_ones_own() -> None:
    made = tool(google, description="Mine.")
    assert made.description == "Mine."
    assert made.parameters["properties"]["unit"]["description"] == "c or f.", "the docstring still says what the parameters are"
    assert tool(google, description="").description == ""


def test_griffe_says_nothing_and_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("griffe").level
    with caplog.at_level(logging.DEBUG):
        _ = [tool(f).parameters for f in (google, numpy, sphinx)]
    assert not caplog.records
    assert logging.getLogger("griffe").level == before


def test_nothing_slow_is_imported_before_it_is_needed() -> None:
    code = inspect.cleandoc("""
        import sys
        from kimi_agent.tooling import tool, toolset, execute
        @tool.tool
        def f(x: int) -> int:
            "Documented."
            return x
        print([m for m in ("pydantic", "griffe", "jsonschema", "aiohttp") if m in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
