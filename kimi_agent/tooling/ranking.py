"""Ranks short texts, such as tools' names and descriptions, by how well they fit a few words: BM25 over words and parts of words.

No model and no dependency. Texts of languages that put no spaces between words are read in pairs of characters.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

_SATURATION, _LENGTH = 1.2, 0.4  # BM25's k1 and b; tools' texts differ in length for no reason that says what they are for
_LEAST_ALIKE = 0.55  # of the longer word that two words must share from its beginning on: files, file; reading, read
_STEM = 3  # characters that two such words share at least
# Thai and Lao, kana, CJK, Hangul
_UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_IN_RUN = re.compile(rf"[{_UNSPACED}]")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])")
# Words that say nothing of what a tool does, though they are rare in its description
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a an and any are as at by can could do does for from get give have how i if in into is it its let like me my need of on
        one or please should some that the them then there these this to tool tools up use want was what when which who will with
        you your""",
    )
)


def words(text: str) -> list[str]:
    """The words of a text, in lower case: `getWeather_v2` is get, weather, v, 2; 查询天气 is 查询, 询天, 天气."""
    found: list[str] = []
    for run in _RUNS.findall(_HUMPS.sub(" ", unicodedata.normalize("NFKC", text))):
        if _IN_RUN.match(run) and len(run) > 1:
            found += [run[i : i + 2] for i in range(len(run) - 1)]
        else:
            found.append(run.casefold())
    return found


class Ranking:
    """Texts, ready to be searched.

    Args:
        texts: each as its parts with their weights: `[("read_file", 3.0), ("Reads a file.", 1.0)]`.
    """

    def __init__(self, texts: Iterable[Iterable[tuple[str, float]]]) -> None:
        self._holders: dict[str, dict[int, float]] = defaultdict(dict)  # word → text → weight there
        lengths: list[float] = []
        for i, parts in enumerate(texts):
            weights = Counter[str]()
            for text, weight in parts:
                for word in words(text):
                    weights[word] += weight  # pyright: ignore[reportArgumentType] - a Counter of floats
            lengths.append(sum(weights.values()))
            for word, weight in weights.items():
                self._holders[word][i] = weight
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        self._damping = [_SATURATION * (1 - _LENGTH + _LENGTH * length / (mean or 1.0)) for length in lengths]
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for word in self._holders:
            self._by_stem[word[:_STEM]].append(word)

    def search(self, query: str) -> Sequence[tuple[int, float]]:
        """The texts that fit, best first, with their scores; of equal ones the earlier first."""
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(w for w in words(query) if w not in _EMPTY_WORDS):
            for i, score in self._scores(word).items():
                scores[i] += score
        return sorted(scores.items(), key=lambda each: (-each[1], each[0]))

    def _scores(self, word: str) -> dict[int, float]:
        """By text: of a word and those that are like it only the best counts."""
        best: dict[int, float] = {}
        for other, alike in self._alike(word):
            holders = self._holders[other]
            rarity = math.log(1 + (len(self._damping) - len(holders) + 0.5) / (len(holders) + 0.5))
            for i, weight in holders.items():
                score = alike * rarity * weight * (_SATURATION + 1) / (weight + self._damping[i])
                best[i] = max(score, best.get(i, 0.0))
        return best

    def _alike(self, word: str) -> list[tuple[str, float]]:
        found = [(word, 1.0)] if word in self._holders else []
        if len(word) == 1 and _IN_RUN.match(word):
            return [*found, *((other, 0.5) for other in self._holders if word in other and other != word)]
        if len(word) < _STEM:
            return found
        for other in self._by_stem.get(word[:_STEM], ()):
            if other != word and (alike := _shared(word, other) / max(len(word), len(other))) >= _LEAST_ALIKE:
                found.append((other, alike * alike))
        return found


def _shared(one: str, other: str) -> int:
    """How many characters two words share at their beginnings."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
