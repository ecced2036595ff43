"""The tables of `against.py`, in Markdown: what was counted beside what was measured."""

import argparse
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from against_counts import Count
from against_systems import IMAGES, SYSTEMS

REFERENCE, CLOCKS, DTYPE = "LLaVA-NeXT", ("wall", "cpu"), "float32"
UNPACKED = [name for name, system in SYSTEMS.items() if not system.packed]
"""Systems whose tokens and memory differ."""
SMALLEST = "135M"
"""The language model with which whole answers were measured."""


class Figures:
    """Looks up what was kept, and puts times together where only their parts were measured."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept
        self.answers = kept.find(kind="time", language=SMALLEST, dtype=DTYPE)

    def count(self, system: str, image: str, language: str = SMALLEST) -> Count:
        return self.kept.count(system, image, language)

    def answer(self, system: str, image: str, clock: str) -> dict[str, float] | None:
        """The fastest measured answer whose work is that of a case, because other programs only ever add time."""
        work = self.count(system, image)
        same = [run for run in self._runs(system, clock) if self._work(run) == (work.encode_flops, work.prompt_tokens)]
        return min(same, key=lambda run: run["encode"] + run["prefill"], default=None)

    def encode(self, system: str, image: str, language: str, clock: str) -> float | None:
        """Seconds to prepare and encode an image, scaled by FLOPs from what was measured of the system."""
        runs, flops = self._runs(system, clock), self.count(system, image).encode_flops
        nearest = min((abs(self._work(run)[0] - flops) for run in runs), default=None)
        wanted = self.count(system, image, language).encode_flops
        same = [run for run in runs if abs(self._work(run)[0] - flops) == nearest]
        return min((run["prepare"] + run["encode"] * wanted / self._work(run)[0] for run in same), default=None)

    def prefill(self, system: str, image: str, language: str, clock: str) -> float | None:
        """Seconds from visual tokens to the first token, interpolated by FLOPs between the lengths measured."""
        points = self._prompts(system, language, clock, "prefill")
        lengths = {count.prompt_tokens: count.prefill_flops for count in self._counts(language)}
        known = sorted((lengths[tokens], taken) for tokens, taken in points.items() if tokens in lengths)
        return interpolate(known, self.count(system, image, language).prefill_flops) if known else None

    def first_token(self, system: str, image: str, language: str, clock: str) -> float | None:
        """Seconds to the first token."""
        if language == SMALLEST and (run := self.answer(system, image, clock)):
            return run["prepare"] + run["encode"] + run["prefill"]
        parts = [part(system, image, language, clock) for part in (self.encode, self.prefill)]
        return None if None in parts else sum(part for part in parts if part is not None)

    def token(self, system: str, image: str, language: str, clock: str) -> float | None:
        """Seconds of a further token."""
        if language == SMALLEST:
            run = self.answer(system, image, clock)
            return run and run["token"]
        return self._prompts(system, language, clock, "token").get(self.count(system, image, language).prompt_tokens)

    def ratio(self, system: str, image: str, language: str) -> tuple[float | None, str]:
        """Time to first token over the reference's, and the first clock that measured both."""
        for clock in CLOCKS:
            ours, theirs = (self.first_token(name, image, language, clock) for name in (system, REFERENCE))
            if ours and theirs:
                return ours / theirs, clock
        return None, ""

    def peak(self, system: str, image: str) -> float | None:
        found = self.kept.find(kind="memory", system=system, image=image, language=SMALLEST)
        return min((record["peak_bytes"] for record in found), default=None)

    def _runs(self, system: str, clock: str) -> list[dict[str, Any]]:
        return [run for run in self.answers if (run["system"], run["clock"]) == (system, clock)]

    def _work(self, run: dict[str, Any]) -> tuple[int, int]:
        work = self.count(run["system"], run["image"])
        return work.encode_flops, work.prompt_tokens

    def _prompts(self, system: str, language: str, clock: str, what: str) -> dict[int, float]:
        """The fastest measured prompts of a language model that is packed or not as the system's, by their length."""
        packed = SYSTEMS[system].packed
        if language == SMALLEST:
            alike = [run for run in self.answers if SYSTEMS[run["system"]].packed == packed and run["clock"] == clock]
            runs = [(self._work(run)[1], run[what]) for run in alike]
        else:
            found = self.kept.find(kind="prefill", language=language, dtype=DTYPE, clock=clock)
            runs = [(run["tokens"], run[what]) for run in found if run.get("packed", False) == packed]
        return {tokens: min(taken for other, taken in runs if other == tokens) for tokens, _ in runs}

    def _counts(self, language: str) -> list[Count]:
        return [self.count(system, image, language) for system in SYSTEMS for image in IMAGES]


def interpolate(known: list[tuple[float, float]], x: float) -> float:
    """Interpolate between points in order; beyond the last, in proportion to it."""
    for (x0, y0), (x1, y1) in pairwise(known):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    nearest = known[-1] if x > known[-1][0] else known[0]
    return nearest[1] * x / nearest[0]


def shown(number: float | None, form: str = ".2f") -> str:
    return "-" if number is None else format(number, form)


def share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part and whole else None


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]) + "\n"


def by_image(cell: Callable[[str, str], str], systems: Iterable[str] = SYSTEMS) -> str:
    """A table of systems by images."""
    return table(["", *IMAGES], [[system, *(cell(system, image) for image in IMAGES)] for system in systems])


def ratios(figures: Figures, language: str) -> str:
    """Time to first token over the reference's, as counted and as measured; ~ marks a sum of measured parts."""

    def cell(system: str, image: str) -> str:
        counted = figures.count(system, image, language).flops / figures.count(REFERENCE, image, language).flops
        measured, clock = figures.ratio(system, image, language)
        is_whole = language == SMALLEST and clock and figures.answer(system, image, clock)
        return f"{counted:.2f} / {'' if is_whole or not clock else '~'}{shown(measured)}"

    return by_image(cell)


def times(figures: Figures, image: str, language: str) -> str:
    """Seconds of one image's parts by the first clock there is; the ratio of decoding is counted in bytes read."""
    head = [
        "",
        "TFLOPs: encoders",
        "prompt",
        "s: encoders",
        "prompt",
        "first token",
        "ms a token",
        "counted / measured",
    ]
    clock = next((clock for clock in CLOCKS if figures.token(REFERENCE, image, language, clock)), "wall")
    rows = []
    for system in SYSTEMS:
        c, reference = (figures.count(name, image, language) for name in (system, REFERENCE))
        case = (system, image, language, clock)
        parts = [part(*case) for part in (figures.encode, figures.prefill, figures.first_token)]
        if parts[-1] is None:
            continue
        token, other = figures.token(*case), figures.token(REFERENCE, image, language, clock)
        cells = [shown(flops / 1e12) for flops in (c.encode_flops, c.prefill_flops)] + [shown(part) for part in parts]
        cells += [shown(token and 1e3 * token, ",.0f")]
        rows.append([system, *cells, f"{c.token_bytes / reference.token_bytes:.2f} / {shown(share(token, other))}"])
    return table(head, rows)


def memory(figures: Figures, image: str, languages: list[str]) -> str:
    """Keys and values, the peak above the weights, and the peak with them, in MB and over the reference's."""
    parts: dict[str, Callable[[Count], int]] = {
        "KV": lambda c: c.kv_bytes,
        "above the weights": lambda c: c.peak_bytes,
        "in all": lambda c: c.weight_bytes + c.peak_bytes,
    }
    head = [
        "",
        *(f"{language}, {part}" for language in languages for part in parts),
        "measured above the weights, 135M",
    ]
    rows = []
    for system in UNPACKED:
        cells = [system]
        for language in languages:
            c, reference = (figures.count(name, image, language) for name in (system, REFERENCE))
            cells += [f"{part(c) / 1e6:,.0f} ({part(c) / part(reference):.2f})" for part in parts.values()]
        peak = figures.peak(system, image)
        rows.append([*cells, shown(peak and peak / 1e6, ",.0f")])
    return table(head, rows)


def report(kept: Any, args: argparse.Namespace) -> None:
    """Print all tables."""
    figures, image = Figures(kept), "square"
    print(f"Visual tokens\n\n{by_image(lambda *case: format(figures.count(*case).visual_tokens, ','), UNPACKED)}")
    for language in args.language:
        print(f"Time to first token over {REFERENCE}'s, {language}: counted / measured\n\n{ratios(figures, language)}")
    for language in args.language:
        print(f"{image}, {language}\n\n{times(figures, image, language)}")
    print(f"Memory, {image}, MB\n\n{memory(figures, image, args.language)}")
