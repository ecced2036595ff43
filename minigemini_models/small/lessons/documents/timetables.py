"""Timetables: departures of one place, and runs of one line."""

import numpy as np

from ....scenes.colors import pick
from .document import Document
from .document_page import Page
from .document_words import CITIES, DAYS, STOPS, chance, pick_some
from .table_columns import Cell, one_of
from .table_grid import capitalized, ink, set_grid


def timetable(rng: np.random.Generator, perfect: bool = False) -> Document:
    """Departures of one place, or the stops of a line with the times of several runs."""
    document = Document("a timetable", Page(rng, 768, 512, perfect, pick(rng, ("white", "#102040", "#000000"))))
    return _runs(rng, document) if chance(rng, 0.55) else _departures(rng, document)


def _departures(rng: np.random.Generator, document: Document) -> Document:
    """Times, destinations, platforms, status."""
    vehicle = pick(rng, ("train", "train", "bus", "flight", "ferry", "coach"))
    stand = {"train": "Platform", "bus": "Stop", "flight": "Gate", "ferry": "Pier", "coach": "Bay"}[vehicle]
    heads = ["Destination", *pick_some(rng, (stand, "Status", vehicle.title()), int(rng.integers(1, 3)))]
    columns: dict[str, Cell] = {
        stand: lambda rng: f"{pick(rng, ('', 'A', 'B', 'C'))}{rng.integers(1, 30)}",
        "Status": one_of("On time", "Delayed", "Cancelled", "Boarding"),
        vehicle.title(): lambda rng: f"{pick(rng, ('IC', 'RE', 'S', 'X', 'LN'))} {rng.integers(1, 999)}",
    }
    minutes = sorted(int(value) for value in rng.choice(np.arange(300, 1430), int(rng.integers(2, 7)), replace=False))
    names = [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
    places = pick_some(rng, CITIES, len(names))
    cells = [[place, *(columns[head](rng) for head in heads[1:])] for place in places]
    lines = set_grid(rng, document, "Time", heads, names, cells)
    for name, row, line in zip(names, cells, lines, strict=True):
        place = row[0]
        document.ask(
            "departure",
            f"When does the {vehicle} to {place} leave?|What time is the {vehicle} to {place}?|"
            f"When is the departure to {place}?|When do I leave for {place}?|When can I go to {place}?",
            name,
            line,
        )
        document.ask("destination", f"Where does the {vehicle} at {name} go?|Where does the {name} go?", place, line)
        for head, value in zip(heads[1:], row[1:], strict=True):
            if head == stand:
                word = stand.lower()
                wordings = (
                    f"Which {word} does the {vehicle} to {place} leave from?|"
                    f"Which {word} do I go to for {place}?|From which {word} does the {name} leave?"
                )
                document.ask("stand", wordings, value, line)
            elif head == "Status":
                document.ask(
                    "status", f"Is the {vehicle} to {place} on time?", "Yes." if value == "On time" else "No.", line
                )
                document.ask(
                    "state", f"What is the status of the {vehicle} to {place}?|What about {place}?", value, line
                )
            else:
                document.ask(
                    "number",
                    f"Which {vehicle} goes to {place}?|What is the number of the {vehicle} to {place}?",
                    value,
                    line,
                )
    if "Status" in heads:
        states = [row[heads.index("Status")] for row in cells]
        for state in ("Delayed", "Cancelled", "Boarding"):
            if states.count(state) == 1:
                document.ask(
                    "which",
                    f"Which {vehicle} is {state.lower()}?|Where does the {state.lower()} {vehicle} go?",
                    places[states.index(state)],
                    *lines,
                )
    document.ask("first", f"Where does the first {vehicle} go?|What is the next destination?", places[0], *lines)
    document.ask("last", f"When does the last {vehicle} leave?|At what time does the last one go?", names[-1], *lines)
    document.ask(
        "rows",
        f"How many {vehicle}{'es' if vehicle == 'bus' else 's'} are listed?".replace("ferrys", "ferries"),
        str(len(names)),
        *lines,
    )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(f"When does the {vehicle} to {other} leave?|Where does the {vehicle} to {other} leave from?")
    document.lack(f"How much is a ticket to {pick(rng, places)}?|When does it arrive in {pick(rng, places)}?")
    return document


def _runs(rng: np.random.Generator, document: Document) -> Document:
    """Stops of one line, with the times of two to four runs; the stops stand below or beside each other."""
    vehicle = pick(rng, ("bus", "train", "tram", "boat"))
    stops = pick_some(rng, STOPS, int(rng.integers(2, 6)))
    runs = pick(
        rng,
        (
            ["Morning", "Noon", "Evening"],
            ["Early", "Late"],
            ["Morning", "Afternoon", "Evening"],
            ["Weekday", "Saturday", "Sunday"],
            [f"{vehicle.title()} {number}" for number in range(1, int(rng.integers(3, 5)))],
        ),
    )
    # in steps of five minutes, from about 6:00; runs are spread over the day
    starts = [int(72 + (200 * run + rng.integers(60)) / len(runs)) for run in range(len(runs))]
    legs = np.cumsum([0, *rng.integers(1, 5, len(stops) - 1)]).tolist()
    times = [[f"{(start + leg) // 12}:{(start + leg) % 12 * 5:02}" for start in starts] for leg in legs]
    line_name = f"{pick(rng, ('Line', 'Route', vehicle.title()))} {rng.integers(1, 99)}"
    caption = (
        document.page.add(line_name, 40, 10, 26, bold=True, color=ink(document.page)) if chance(rng, 0.6) else None
    )
    if caption:
        document.ask(
            "line",
            f"Which line is it?|What line does the timetable show?|Which {vehicle} is the timetable for?",
            caption,
        )
    else:
        document.lack(f"Which line is it?|What is the number of the {vehicle}?")
    down = chance(rng, 0.6)
    names, heads = (stops, runs) if down else (runs, stops)
    cells = times if down else [list(column) for column in zip(*times, strict=True)]
    lines = set_grid(
        rng,
        document,
        "Stop" if down else pick(rng, ("Run", "Time", vehicle.title())),
        heads,
        names,
        cells,
        caption=False,
    )
    is_day = runs[-1] == "Sunday"
    for place, stop in enumerate(stops):
        called = f"the {stop.lower()}"
        for number, run in enumerate(runs):
            line = lines[place] if down else lines[number]
            named = run if run[-1].isdigit() else f"the {run.lower()} {vehicle}"
            if run in DAYS:
                named = f"the {run} {vehicle}"
            wordings = (
                f"When is {named} at {called}?|When does {named} stop at {called}?|"
                f"What time does {named} get to {called}?|At what time does {named} leave {called}?"
            )
            document.ask("stop", capitalized(wordings), times[place][number], line)
            document.ask(
                "run",
                f"On which day is a {vehicle} at {called} at {times[place][number]}?"
                if is_day
                else f"Which {vehicle} is at {called} at {times[place][number]}?",
                run,
                line,
            )
        evidence = [lines[place]] if down else lines
        if not is_day:
            document.ask(
                "first",
                f"When does the first {vehicle} stop at {called}?|When is the first {vehicle} from {called}?",
                times[place][0],
                *evidence,
            )
            document.ask(
                "last",
                f"When does the last {vehicle} stop at {called}?|When is the last {vehicle} from {called}?",
                times[place][-1],
                *evidence,
            )
        if place:
            before = stops[place - 1].lower()
            document.ask(
                "next", f"Which stop comes after the {before}?|Where does it stop after the {before}?", stop, *lines
            )
    document.ask("start", f"Where does the {vehicle} start?|What is the first stop?", stops[0], *lines)
    document.ask("end", f"Where does the {vehicle} end?|What is the last stop?", stops[-1], *lines)
    document.ask("count", f"How many stops are there?|How many times does the {vehicle} stop?", str(len(stops)), *lines)
    absent = pick(rng, [stop for stop in STOPS if stop not in stops]).lower()
    document.lack(f"When does the {vehicle} stop at the {absent}?|When does the last {vehicle} leave the {absent}?")
    document.lack(f"How much is a ticket?|Who drives the {vehicle}?|How full is the {vehicle}?|Is the {vehicle} late?")
    return document
