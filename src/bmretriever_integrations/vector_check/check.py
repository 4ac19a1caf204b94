"""Find the mistakes that explain given vectors: first on a few short texts, then on a sample of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.vector_check.fit import EXACT, Fit, cosines, evenly, nearest_rows, ranked
from bmretriever_integrations.vector_check.fit import FITTING_COSINE as FITS
from bmretriever_integrations.vector_check.network import PlainNetwork
from bmretriever_integrations.vector_check.reading import Text, flawed_rows, read_texts, read_vectors
from bmretriever_integrations.vector_check.recipes import Recipe, all_recipes, with_limits
from bmretriever_integrations.vector_check.scale import number_type, scaling
from bmretriever_integrations.vector_check.verdict import Candidate, Verdict, rows_in_words
from bmretriever_integrations.vector_check.wordings import Role, wordings

SPREAD = 56
"""The most rows that are compared, spread evenly over all."""
LONGEST = 8
"""The rows with the longest texts, which are compared as well, because a limit of tokens shows in them only."""
PROBE = 6
"""The rows, the shortest of the sample, for which every combination of mistakes is computed."""
EASIEST = 2
"""The rows that fit best, on which another limit must change nothing."""
NEARBY = 64
"""The most limits that are tried below the length of the shortest text that seems to be cut."""
TRIED_IN_FULL = 3
"""The explanations of the probe that are computed for the whole sample."""
SHOWN = 6
"""The explanations that are shown."""


def check_vectors(
    vectors: Path,
    texts: Path,
    model: str,
    *,
    role: Role = "passages",
    instruction: str | None = None,
    max_length: int = 512,
    device: str | None = None,
) -> Verdict:
    """
    Tell which known mistakes made a file of vectors.

    :param vectors: a ``.npy`` file, one vector a row.
    :param texts: the texts of these rows, in the same order.
    :param model: the model that is said to have made them: a short name, a hub id or a folder.
    :param role: whether the texts are passages or queries.
    :param instruction: the queries' task key or sentence; None for the default.
    :param max_length: the most tokens of a text.
    :param device: e.g. ``"cuda:0"``; None takes the fastest.
    :raises FileNotFoundError: if a file or the model is missing.
    :raises ValueError: if a file cannot be read, if the numbers of rows differ, or if vectors are not finite.
    """
    sentence = resolve_instruction(instruction)
    rows = read_texts(texts)
    given = read_vectors(vectors, len(rows))
    empty, broken = flawed_rows(given)
    if broken:
        raise ValueError(f"{vectors}: NaN or infinity in {rows_in_words(broken)}; compute these rows again")
    longest = sorted(range(len(rows)), key=lambda row: -len(rows[row].text))[:LONGEST]
    places = sorted({*evenly(len(rows), SPREAD), *longest, *(row - 1 for row in empty[:LONGEST])})
    network = PlainNetwork(model, device)
    if given.shape[1] > network.width:
        wrong = f"another width: {given.shape[1]:,} and not the model's {network.width:,}"
        return Verdict((wrong,), len(places), len(places))
    forms = wordings(role, sentence)
    check = _Check(given, rows, network, np.asarray(places))
    return check.verdict(all_recipes(forms, network.starts, max_length))


@dataclass
class _Check:
    given: NDArray[Any]
    texts: list[Text]
    network: PlainNetwork
    sample: NDArray[np.int64]
    """The rows that are compared."""
    rows_of: NDArray[np.int64] | None = None
    """The given row of each of the sample's texts, where the order is another one."""

    def verdict(self, recipes: list[Recipe]) -> Verdict:
        """Explain the vectors; the first of the recipes is the right one."""
        right = self.fit(recipes[0], self.sample)
        if right.distance <= EXACT:
            return self.describe([right])
        probe = self.probe()
        tried = ranked(self.fit(recipe, probe) for recipe in self.different(recipes, probe))
        if 2 * tried[0].fitting < len(probe):
            tried = self.moved(recipes, probe) or self.cut(recipes, probe[: PROBE // 2]) or tried
        if 2 * tried[0].fitting < len(tried[0].cosines):
            return self.unknown(ranked([right, *(self.fit(fit.recipe, self.sample) for fit in tried[:SHOWN])]), tried)
        return self.describe(ranked([*([] if self.rows_of is not None else [right]), *self.in_full(tried)]))

    def probe(self) -> NDArray[np.int64]:
        """Choose short rows, which no limit cuts; those with title and text, which tell most, come first."""

        def order(row: int) -> tuple[bool, int]:
            text = self.texts[row]
            return not (text.text.strip() and (text.title or self.is_untitled)), len(text.title) + len(text.text)

        return np.asarray(sorted(self.sample.tolist(), key=order)[:PROBE])

    @property
    def is_untitled(self) -> bool:
        return not any(self.texts[row].title for row in self.sample)

    def different(self, recipes: Iterable[Recipe], rows: NDArray[np.int64]) -> list[Recipe]:
        """Leave out recipes that give these rows the same sequences as a simpler one."""
        seen: dict[Any, Recipe] = {}
        for recipe in recipes:
            key = (recipe.pooling, *(self.network.sequence(recipe, self.texts[row]) for row in rows))
            seen.setdefault(key, recipe)
        return list(seen.values())

    def fit(self, recipe: Recipe, rows: NDArray[np.int64]) -> Fit:
        computed = self.network.vectors(recipe, [self.texts[row] for row in rows])
        return Fit(recipe, cosines(self.of(rows), computed[:, : self.given.shape[1]]))

    def of(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the given vectors of these texts."""
        if self.rows_of is None:
            return np.asarray(self.given[rows])
        return np.asarray(self.given[self.rows_of[np.searchsorted(self.sample, rows)]])

    def moved(self, recipes: list[Recipe], probe: NDArray[np.int64]) -> list[Fit]:
        """Look for the texts' vectors in other rows. Return nothing if they are in none."""
        different = self.different(recipes, probe)
        width = self.given.shape[1]
        texts = [self.texts[row] for row in probe]
        computed = np.concatenate([self.network.vectors(recipe, texts)[:, :width] for recipe in different])
        _, near = nearest_rows(self.given, computed)
        fits = ranked(Fit(*pair) for pair in zip(different, near.reshape(len(different), -1), strict=True))
        # a vector that is the same for every text is near to any row of its kind
        if 2 * fits[0].fitting < len(probe) or fits[0].recipe.pooling == "first":
            return []
        all_texts = [self.texts[row] for row in self.sample]
        self.rows_of, _ = nearest_rows(self.given, self.network.vectors(fits[0].recipe, all_texts)[:, :width])
        return fits

    def cut(self, recipes: list[Recipe], rows: NDArray[np.int64]) -> list[Fit]:
        """Combine all mistakes with all limits, because every text may have been cut. Return nothing if none fits."""
        limited = [one for recipe in recipes if recipe.ending == "eos" for one in self.limits(recipe)]
        fits = ranked(self.fit(recipe, rows) for recipe in self.different(limited, rows))
        return fits if 2 * fits[0].fitting >= len(rows) else []

    def limits(self, recipe: Recipe, also: Iterable[int] = ()) -> list[Recipe]:
        return with_limits(recipe, self.network.most_tokens, also)

    def unusual_limit(self, whole: Fit) -> list[int]:
        """Find an unusual limit: between the longest text that fits and the shortest that does not."""
        lengths = np.asarray([self.network.length(whole.recipe, self.texts[row]) for row in self.sample])
        fits = whole.close
        if fits.all():
            return []
        row = int(np.argmin(np.where(fits, np.iinfo(np.int64).max, lengths)))
        end = min(int(lengths[row]), whole.recipe.limit)
        start = max(int(lengths[fits & (lengths <= end)].max(initial=2)), end - NEARBY)
        tried = [replace(whole.recipe, limit=limit) for limit in range(start, end)]
        cut = [fit for fit in (self.fit(one, self.sample[[row]]) for one in tried) if fit.fits_all]
        return [min(cut, key=lambda fit: fit.distance).recipe.limit] if cut else []

    def in_full(self, tried: Sequence[Fit]) -> list[Fit]:
        """Compute the best explanations for the whole sample, with other limits where rows do not fit."""
        done: list[Fit] = []
        for candidate in tried[:TRIED_IN_FULL]:
            whole = self.fit(candidate.recipe, self.sample)
            done.append(whole)
            wrong = self.sample[whole.cosines < FITS]
            if not len(wrong) and not whole.is_uneven:
                return done
            order = np.argsort(whole.cosines)
            telling = np.unique(self.sample[[*order[:PROBE], *order[-EASIEST:]]])
            variants = self.different(self.limits(candidate.recipe, self.unusual_limit(whole)), telling)
            best = ranked(self.fit(recipe, telling) for recipe in variants)[0]
            done.append(self.fit(best.recipe, self.sample))
            if done[-1].fits_all:
                return done
        return done

    def describe(self, fits: Sequence[Fit]) -> Verdict:
        """Put the best explanation into words, with what was done to the vectors afterwards."""
        best = self.found_elsewhere(fits[0])
        fitting = best.cosines >= FITS
        rows = self.sample[fitting]
        computed = self.network.vectors(best.recipe, [self.texts[row] for row in rows])
        given = self.of(rows)
        mistakes = list(best.recipe.mistakes)
        scaled = scaling(given, computed, self.network.normalizes)
        mistakes += [scaled] if scaled else []
        if given.shape[1] < self.network.width:
            mistakes.append(f"only the first {given.shape[1]:,} of {self.network.width:,} dimensions")
        if self.rows_of is not None:
            moved = int((self.rows_of[fitting] != rows).sum())
            mistakes.append(f"rows in another order ({moved} of {len(rows)} stand elsewhere)")
        if not mistakes and not best.fits_all:
            mistakes.append("some rows are not these texts' vectors, the others are right")
        odd = tuple(int(row) + 1 for row in self.sample[~fitting])
        return Verdict(tuple(mistakes), best.fitting, len(self.sample), odd, _notes(given, best), self.candidates(fits))

    def found_elsewhere(self, best: Fit) -> Fit:
        """Look for the vectors of texts that do not fit in other rows."""
        places = np.flatnonzero(best.cosines < FITS)
        if self.rows_of is not None or not len(places):
            return best
        computed = self.network.vectors(best.recipe, [self.texts[row] for row in self.sample[places]])
        rows, near = nearest_rows(self.given, computed[:, : self.given.shape[1]])
        if (near < FITS).all():
            return best
        self.rows_of = self.sample.copy()
        self.rows_of[places[near >= FITS]] = rows[near >= FITS]
        return self.fit(best.recipe, self.sample)

    def unknown(self, fits: Sequence[Fit], tried: Sequence[Fit]) -> Verdict:
        """Say that nothing explains the vectors, or that they are all the same."""
        given = self.of(self.sample)
        if len(set(self.texts)) > 1 and len(given) > 1 and float(np.ptp(given.astype(np.float64), axis=0).max()) == 0:
            return Verdict(("every row is the same vector",), len(given), len(given))
        best = fits if fits[0].distance < tried[0].distance else [*fits, *tried]
        return Verdict(None, 0, len(self.sample), notes=_notes(given), candidates=self.candidates(best))

    def candidates(self, fits: Sequence[Fit]) -> tuple[Candidate, ...]:
        shown: dict[str, Candidate] = {}
        for fit in fits:
            name = ", ".join(fit.recipe.mistakes) or "the right way"
            rows = self.sample if len(fit.cosines) == len(self.sample) else self.probe()[: len(fit.cosines)]
            lengths = np.linalg.norm(self.network.vectors(fit.recipe, [self.texts[row] for row in rows]), axis=1)
            mean = float(fit.cosines.mean())
            shown.setdefault(name, Candidate(name, fit.fitting, len(fit.cosines), mean, float(np.median(lengths))))
        return tuple(shown.values())[:SHOWN]


def _notes(given: NDArray[Any], best: Fit | None = None) -> tuple[str, ...]:
    length = float(np.median(np.linalg.norm(given.astype(np.float64), axis=1)))
    notes = [f"Median length of the given vectors: {length:.4g}."]
    if best is not None:
        notes.append(f"Smallest cosine of the rows that fit: {best.cosines[best.cosines >= FITS].min():.7f}.")
    kind = number_type(given)
    if kind is not None:
        notes.append(f"The numbers are those of {kind}.")
    return tuple(notes)
