"""Characters that are not seen: a text in which they stand may read as another one (CVE-2021-42574)."""

import json
import re

# Control characters move the cursor. Those of Unicode's category Cf are not drawn, and let one text be read as another:
# direction marks, joiners, tags. Separators end lines unseen, and Hangul fillers look like spaces.
# The two joiners that scripts and emoji need (U+200C, U+200D) stay.
UNSAFE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What no terminal should be sent, as the inside of a character class."""
# What is kept in texts that are read, but hides something in one that is approved: joiners, and selectors of variants.
_UNSEEN = re.compile(rf"[{UNSAFE}\ud800-\udfff\u034f\u17b4\u17b5\u180b-\u180f\u200c\u200d\ufe00-\ufe0f]")


def exact(text: str) -> str:
    """All of the text, with every character that is not seen written as `\\uXXXX`: for what somebody must be able to judge."""
    return _UNSEEN.sub(escaped, text)


def escaped(found: re.Match[str]) -> str:
    """A character as JSON may write it."""
    return json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f"
