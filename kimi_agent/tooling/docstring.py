"""What a docstring says of a function and its parameters: Google, NumPy and Sphinx style, told apart by griffe."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Documentation:
    """The text outside of the sections, with its notes and warnings, and what the parameters' section says, by name."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])


@lru_cache(maxsize=512)  # agents are made by the thousand of the same few functions
def read_docstring(text: str | None) -> Documentation:
    """Never raises: a docstring in no known style is all description."""
    if not text or not text.strip():
        return Documentation()
    import griffe  # only here: it takes a while to import, and undocumented functions don't need it

    quiet: Any = {style: {"warnings": False} for style in ("google", "numpy", "sphinx")}  # of each parameter without a type
    kinds = griffe.DocstringSectionKind
    description: list[str] = []
    parameters: dict[str, str] = {}
    for section in griffe.parse_auto(griffe.Docstring(text), default="google", per_style_options=quiet):
        if section.kind is kinds.text:
            description.append(section.value)
        elif section.kind is kinds.admonition:  # "Note:", and every other headline that griffe does not know
            description.append(f"{section.title}:\n{section.value.description}")
        elif section.kind in (kinds.parameters, kinds.other_parameters):
            parameters |= {str(p.name).lstrip("*"): " ".join(p.description.split()) for p in section.value}
    return Documentation("\n\n".join(description).strip(), parameters)
