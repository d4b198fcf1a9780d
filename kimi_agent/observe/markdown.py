"""Markdown that arrives in pieces, coloured as it comes. The text stays as the model wrote it, so that it can be copied."""

import re

Piece = tuple[str, str]
"""Text and its rich style."""

_CODE, _STRONG, _HEADING = "cyan", "bold", "bold magenta"
_UNDECIDED = re.compile(r" {0,3}(#{0,6}|`{0,2}|~{0,2})")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_TITLE = re.compile(r" {0,3}#{1,6} ")


class StreamedMarkdown:
    """Headings, code and strong text get a style; nothing is drawn twice, and no more than a line's first marks is held back."""

    def __init__(self) -> None:
        self._held = ""
        self._at_start = True
        self._fence = ""
        self._line_style = ""
        self._code = self._strong = False

    def feed(self, text: str) -> list[Piece]:
        """The pieces that can be drawn now."""
        pieces: list[Piece] = []
        for character in text:
            self._held += character
            if self._at_start and _UNDECIDED.fullmatch(self._held):
                continue
            if self._at_start:
                self._begin_line()
            elif self._held == "*":
                continue
            self._draw(pieces)
        return pieces

    def end(self) -> list[Piece]:
        """What was held back; the next text begins anew."""
        pieces: list[Piece] = []
        self._draw(pieces)
        self.__init__()
        return pieces

    def _begin_line(self) -> None:
        self._at_start = False
        fence = _FENCE.match(self._held)
        if fence and self._fence in ("", fence[1]):
            self._fence = "" if self._fence else fence[1]
            self._line_style = _CODE
        elif self._fence:
            self._line_style = _CODE
        elif _TITLE.match(self._held):
            self._line_style = _HEADING

    def _draw(self, pieces: list[Piece]) -> None:
        held, self._held = self._held, ""
        for token in re.findall(r"\*\*|[^*]|\*", held):
            style = self._line_style or (_CODE if self._code else _STRONG if self._strong else "")
            if token == "\n":
                self._at_start, self._line_style, self._code, self._strong = True, "", False, False
            elif not self._line_style and token == "`":
                style, self._code = _CODE, not self._code
            elif not self._line_style and token == "**" and not self._code:
                style, self._strong = _STRONG, not self._strong
            if pieces and pieces[-1][1] == style:
                pieces[-1] = (pieces[-1][0] + token, style)
            else:
                pieces.append((token, style))
