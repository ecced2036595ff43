"""Notices of several lines: rooms, bans, floors, warnings, offers, opening hours."""

import numpy as np

from ....scenes.colors import pick
from .document_words import (
    CITIES,
    DAYS,
    GOODS,
    LAST,
    NOUNS,
    STOPS,
    chance,
    options,
    person,
    phone,
    pick_some,
    shop_name,
)
from .sketches import Sketch, line, some_lines

BANS = options(
    "parking|smoking|swimming|fishing|camping|cycling|photography|ball games|"
    "dogs|food|diving|entry|littering|loud music|"
    "phones|running|climbing|skating|drones|barbecues|glass bottles|trespassing|stopping|horses"
)
OFFICE_JOBS = options("Doctor|Nurse|Teacher|Lawyer|Editor|Clerk|Judge|Engineer|Designer|Manager|Librarian|Dentist")
DEPARTMENTS = options(
    "Reception|Radiology|Toys|Shoes|Books|Restaurant|Cafe|Pharmacy|Surgery|Children|Furniture|Sportswear|Lost Property|"
    "Archive|Kitchen|Offices|Gym|Library|Electronics|Bedding|Cloakroom|Bank|Dentist|Garden|Cinema|Music|Gifts|Laboratory"
)
DANGERS = options(
    "Wet floor|Falling rocks|High voltage|Deep water|Thin ice|Hot surface|Wild animals|Low ceiling|Steep stairs|"
    "Loose dog|Strong current|Slippery road|Open pit|Moving machines|Poison|Sharp edges|Trains|Avalanches"
)


def _room(rng: np.random.Generator) -> Sketch:
    """The door of a room: whose it is, and when visits are welcome."""
    number, name, job = str(rng.integers(1, 500)), person(rng), pick(rng, OFFICE_JOBS)
    called = pick(rng, (name, f"Dr. {pick(rng, LAST)}", f"Ms. {pick(rng, LAST)}", f"Mr. {pick(rng, LAST)}"))
    start, end = f"{rng.integers(7, 12)}:00", f"{rng.integers(13, 19)}:00"
    lines = [
        line(
            f"Room {number}",
            ("room", "Which room is it?|What is the number of the room?|Which room number is it?", number),
        ),
        line(called, ("whose", "Whose room is it?|Who works here?|Who sits in this room?|Whose door is it?", called)),
    ]
    missing = [
        f"Is {called} in?|Is {called} there now?|Who is inside?|Is the room empty?",
        "How large is the room?|Who was here before?|What is the phone number?",
    ]
    if chance(rng, 0.6):
        lines.append(line(job, ("job", f"What does {called} do?|What is {called}'s job?|What is {called}?", job)))
    else:
        missing.append(f"What does {called} do?|What is {called}'s job?")
    if chance(rng, 0.5):
        told = (
            ("from", f"From when can I see {called}?|When do the visits begin?", start),
            ("until", f"Until when can I see {called}?|When do the visits end?", end),
            ("hours", f"When can I see {called}?|When are the visiting hours?", f"{start} - {end}"),
        )
        lines.append(line(f"{start} - {end}", *told))
    else:
        missing.append(f"When can I see {called}?|When are the visiting hours?")
    return Sketch(tuple(lines), tuple(missing))


def _ban(rng: np.random.Generator) -> Sketch:
    """What is forbidden, sometimes with the time and the fine."""
    activity = pick(rng, BANS)
    head = f"{pick(rng, ('No', 'No', 'Strictly no'))} {activity}"
    verb = "Are" if activity.endswith("s") else "Is"
    is_loud = chance(rng, 0.5)
    activity, head = (activity.upper(), head.upper()) if is_loud else (activity, head)
    start, end = f"{rng.integers(6, 12)}:00", f"{rng.integers(13, 23)}:00"
    days, fine, place = (
        pick(rng, ("Mon - Fri", "Mon - Sat", "on Sundays", "on weekends")),
        f"${rng.integers(2, 60) * 10}",
        pick(rng, STOPS),
    )
    wordings = (
        "What is forbidden here?|What must I not do here?|What is not allowed here?|What does the sign forbid?|"
        "What are you not allowed to do?"
    )
    lines = [
        line(
            head,
            ("ban", wordings, activity),
            ("allowed", f"{verb} {activity.lower()} allowed here?|Does the sign allow {activity.lower()}?", "No."),
        )
    ]
    missing = ["Who put up the sign?|Since when is it forbidden?", "Why is it forbidden?|Who is watching?"]
    optional = (
        (
            line(
                f"{start} - {end}",
                ("from", "From when is it forbidden?|At what time does it begin?", start),
                ("until", "Until when is it forbidden?|When does it end?", end),
            ),
            "Until when is it forbidden?",
        ),
        (
            line(days, ("days", "On which days is it forbidden?|Which days does it count for?", days)),
            "On which days is it forbidden?",
        ),
        (
            line(
                f"Fine {fine}",
                ("fine", "How high is the fine?|What does it cost to do it anyway?|How much is the fine?", fine),
            ),
            "How high is the fine?|How much is the fine?",
        ),
        (
            line(f"{place} only", ("only", "Which place is it only for?|What is it reserved for?", place)),
            "Which street is it?",
        ),
    )
    chosen, open_questions = some_lines(rng, 0.4, optional)
    return Sketch((*lines, *chosen), (*missing, *open_questions))


def _directory(rng: np.random.Generator) -> Sketch:
    """What is on which floor."""
    name = pick(
        rng, ("Directory", "Floor plan", "Welcome", f"{pick(rng, CITIES)} Hospital", f"{pick(rng, NOUNS)} House")
    )
    count = int(rng.integers(3, 6))
    things = pick_some(rng, DEPARTMENTS, count + 1)
    lines = [line(name, ("name", "What is written at the top?|What is the heading?", name))]
    for number, thing in enumerate(things[:count], start=1):
        told = (
            (
                "floor",
                f"On which floor do I find {thing}?|Which floor do I go to for {thing}?|Where do I find {thing}?",
                f"Floor {number}",
            ),
            ("what", f"What is on floor {number}?|What do I find on floor {number}?", thing),
        )
        lines.append(line(f"Floor {number} | {thing}", *told))
    return Sketch(
        tuple(lines),
        (
            f"On which floor do I find {things[count]}?|Where do I find {things[count]}?",
            "How many people work here?|Who owns the house?|Is it open?",
        ),
    )


def _warning(rng: np.random.Generator) -> Sketch:
    """A danger, and what to do about it."""
    head, danger = pick(rng, ("Caution", "Danger", "Warning", "Attention", "Beware")), pick(rng, DANGERS)
    advice = pick(
        rng, ("Keep out", "Walk slowly", "Do not touch", "Wear a helmet", "Stay behind the line", "Hold on to the rail")
    )
    return Sketch(
        (
            line(head, ("first", "What is the first word?|What does the first line say?", head)),
            line(
                danger,
                (
                    "danger",
                    "What does the sign warn of?|What is the danger?|What is dangerous here?|Why must I be careful?",
                    danger,
                ),
            ),
            line(advice, ("advice", "What should I do?|What does the sign ask for?|What must I do here?", advice)),
        ),
        (
            "How long will it last?|Who put up the sign?",
            "Was anybody hurt?|Since when is it dangerous?|Whom can I call?",
        ),
    )


def _speed(rng: np.random.Generator) -> Sketch:
    """A speed limit, and how far a place is."""
    limit, place, distance = str(rng.integers(2, 13) * 10), pick(rng, STOPS), f"{rng.integers(1, 20) * 50} m"
    return Sketch(
        (
            line("Speed limit", ("what", "What does the first line say?|What kind of limit is it?", "Speed limit")),
            line(limit, ("limit", "How fast may I drive?|What is the speed limit?|How fast can one go here?", limit)),
            line(
                f"{place} {distance}",
                ("far", f"How far is the {place.lower()}?|How far is it to the {place.lower()}?", distance),
                ("what place", f"What is {distance} away?|Which place comes in {distance}?", place),
            ),
        ),
        (
            "How fast am I going?|What is the fine?|Where does the limit end?",
            "Which road is it?|Is there a camera?|Who drives too fast?",
        ),
    )


def _offer(rng: np.random.Generator) -> Sketch:
    """A sale, or one thing for sale."""
    thing, price, number = pick(rng, GOODS), f"${rng.integers(2, 900)}", phone(rng)
    percent, day = f"{rng.integers(1, 19) * 5}%", pick(rng, DAYS)
    if chance(rng, 0.5):
        return Sketch(
            (
                line(pick(rng, ("SALE", "Big sale", "Special offer", "Clearance"))),
                line(
                    f"{percent} off all {thing.lower()}s",
                    ("off", "How many percent off is it?|How large is the discount?|How much do I save?", percent),
                    ("thing", "What is on sale?|What is cheaper now?", f"{thing.lower()}s"),
                ),
                line(
                    f"until {day}", ("until", "How long does the sale last?|Until when is it?|When does it end?", day)
                ),
            ),
            (
                f"What does one {thing.lower()} cost?|What is the price?",
                "When did the sale begin?|Which shop is it?|How many are left?",
            ),
        )
    return Sketch(
        (
            line(f"{thing} for sale", ("thing", "What is for sale?|What is being sold?|What can I buy?", thing)),
            line(price, ("price", f"What does the {thing.lower()} cost?|How much is it?|What is the price?", price)),
            line(
                f"Call {number}",
                ("phone", "Which number do I call?|What is the phone number?|How can I reach the seller?", number),
            ),
        ),
        (
            f"How old is the {thing.lower()}?|Who sells it?|What color is the {thing.lower()}?",
            "Where is it?|Is it still there?|Why is it sold?",
        ),
    )


def _opening_hours(rng: np.random.Generator) -> Sketch:
    """Opening hours of every day of a week."""
    name, groups = shop_name(rng), pick(rng, ((1,) * 7, (5, 1, 1), (1, 4, 1, 1), (4, 1, 1, 1)))
    lines, first = [line(name, ("shop", "Which shop is it?|Whose hours are these?|What is the place called?", name))], 0
    for count in groups:
        days, is_closed = DAYS[first : first + count], first > 4 and chance(rng, 0.5)
        is_closed = is_closed or (count == 1 and chance(rng, 0.1))
        start, end = (
            f"{rng.integers(6, 12)}:{pick(rng, ('00', '30'))}",
            f"{rng.integers(14, 24)}:{pick(rng, ('00', '30'))}",
        )
        label = days[0] if count == 1 else f"{days[0]} {pick(rng, ('-', 'to'))} {days[-1]}"
        day, first = pick(rng, days), first + count
        told = [
            (
                "is open",
                f"Is it open on {day}?|Are they open on {day}?|Can I go there on {day}?",
                "No." if is_closed else "Yes.",
            )
        ]
        if is_closed:
            told.append(
                ("closed", "On which day is it closed?|When is it closed?", label)
                if count == 1 and not any("closed" in text for text, _ in lines)
                else told[0]
            )
        else:
            told += [
                (
                    "opens",
                    f"When does it open on {day}?|From when is it open on {day}?|When do they open on {day}?",
                    start,
                ),
                (
                    "closes",
                    f"When does it close on {day}?|Until when is it open on {day}?|When do they close on {day}?",
                    end,
                ),
                ("hours", f"What are the hours on {day}?|When can I come on {day}?", f"{start} - {end}"),
            ]
        lines.append(line(f"{label} | {'closed' if is_closed else f'{start} - {end}'}", *told))
    if sum(text.endswith("| closed") for text, _ in lines) > 1:  # "the day on which it is closed" is not one
        lines = [line(text, *(one for one in told if one[0] != "closed")) for text, told in lines]
    return Sketch(
        tuple(lines),
        (
            "Is it open at Christmas?|When is it open on holidays?",
            "What is the phone number?|Who works there?|What do they sell at noon?",
        ),
    )


NOTICES = (_room, _ban, _ban, _directory, _warning, _speed, _offer, _opening_hours)
"""Samplers of notices; bans are twice as frequent as the others."""
