"""Tables, timetables and forms."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigemini.inference.text_boxes import number_of
from minigemini.inference.text_layout import layout_text

from ...scenes.colors import pick
from ...scenes.concepts import with_article
from .document import Document
from .document_page import Page
from .document_words import (
    ADJECTIVES,
    ANIMALS,
    BEASTS,
    CITIES,
    COLORS,
    COMPANIES,
    COUNTRIES,
    DAYS,
    DISHES,
    FIRST,
    FOODS,
    GOODS,
    JOBS,
    LAST,
    NOUNS,
    PETS,
    SPORTS,
    STOPS,
    SUBJECTS,
    WEATHER,
    address,
    chance,
    date,
    email,
    person,
    phone,
    pick_some,
)

Cell = Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Column:
    """A column with the questions that people ask about what it means.

    Wordings are separated by "|". In them {x}, {a} and {b} are rows as they are called in a sentence, {s} the plural
    of a row, {v} is a cell, {w} a cell in lower case, {n} a cell in lower case with its article.

    Attributes:
        heads: its heading.
        make: samples a cell.
        ask: ask for the cell of a row.
        find: ask for the row of a cell.
        most, least: ask for the row with the largest and the smallest number.
        more: what a row is or has that has a larger number, such as "older" or "more points".
        unit: of the numbers; it stands in the heading or in every cell.
    """

    heads: str
    make: Cell
    ask: str
    find: str = ""
    most: str = ""
    least: str = ""
    more: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Subject:
    """What the rows of a table are about.

    Attributes:
        heads: heading of the names.
        names: names of rows.
        called: how a name stands in a sentence, for instance "the {}"; names after an article are in lower case.
        many: the plural of the heading.
        columns: what is known about a row.
    """

    heads: str
    names: tuple[str, ...]
    called: str
    many: str
    columns: tuple[Column, ...]

    def call(self, name: str) -> str:
        """A name as it stands in a sentence."""
        return self.called.format(name.lower() if self.called == "the {}" else name)


def whole(low: int, high: int) -> Cell:
    """Whole numbers, with a comma before thousands from 10,000 on."""

    def make(rng: np.random.Generator) -> str:
        number = int(rng.integers(low, high))
        return f"{number:,}" if high > 10000 else str(number)

    return make


def one_of(*choices: str) -> Cell:
    """One of some words."""
    return lambda rng: pick(rng, choices)


def dollars(low: int, high: int) -> Cell:
    """Prices."""
    return lambda rng: f"${rng.integers(low, high)}.{int(rng.integers(20)) * 5:02}"


def clock(first: int, last: int) -> Cell:
    """Times of day between two hours."""
    return lambda rng: f"{rng.integers(first, last)}:{int(rng.integers(12)) * 5:02}"


def _weather_columns() -> tuple[Column, ...]:
    return (
        Column(
            "Temperature|Temp.|High",
            lambda rng: f"{rng.integers(1, 36)}°C",
            "How warm is it {x}?|What is the temperature {x}?|How many degrees is it {x}?",
            "",
            "{where} is it warmest?|{where} is the temperature highest?",
            "{where} is it coldest?|{where} is the temperature lowest?",
        ),
        Column(
            "Weather|Sky",
            one_of(*WEATHER),
            "What is the weather like {x}?|How is the weather {x}?",
            "{where} is it {w}?",
        ),
        Column(
            "Rain|Rainfall",
            whole(0, 60),
            "How much does it rain {x}?|How much rain is there {x}?",
            "",
            "{where} does it rain most?",
            "{where} does it rain least?",
            unit="mm",
        ),
        Column(
            "Wind",
            whole(5, 90),
            "How strong is the wind {x}?|How fast is the wind {x}?",
            "",
            "{where} is the wind strongest?",
            "{where} is the wind weakest?",
            unit="km/h",
        ),
    )


PEOPLE = (
    Column(
        "Age|Years",
        whole(5, 95),
        "How old is {x}?|What is {x}'s age?|What age is {x}?",
        "Who is {v} years old?|Who is {v}?",
        "Who is the oldest?|Who is oldest?",
        "Who is the youngest?|Who is youngest?",
        "older",
    ),
    Column(
        "Job|Occupation|Work|Profession",
        one_of(*JOBS),
        "What does {x} work as?|What is {x}'s job?|What does {x} do?|What kind of work does {x} do?",
        "Who is the {w}?|Who works as {n}?|Which of them is {n}?",
    ),
    Column(
        "City|Home|Town|Lives in",
        one_of(*CITIES),
        "Where does {x} live?|Which city does {x} live in?|What is {x}'s home town?|Where is {x}'s home?",
        "Who lives in {v}?|Whose home is {v}?",
    ),
    Column(
        "Country|From|Origin",
        one_of(*COUNTRIES),
        "Where is {x} from?|Which country is {x} from?|What country does {x} come from?",
        "Who comes from {v}?|Who is from {v}?",
    ),
    Column(
        "Phone|Tel.|Telephone",
        lambda rng: f"555-{rng.integers(1000, 9999)}",
        "What is {x}'s number?|Which number reaches {x}?|How can I call {x}?|What is {x}'s phone number?",
        "Whose number is {v}?|Who has the number {v}?",
    ),
    Column(
        "Room|Office",
        whole(1, 400),
        "Which room is {x} in?|In which room can I find {x}?|Where does {x} sit?",
        "Who is in room {v}?|Whose room is {v}?",
    ),
    Column(
        "Height",
        whole(120, 210),
        "How tall is {x}?|What is {x}'s height?",
        "Who is {v} tall?",
        "Who is the tallest?",
        "Who is the shortest?",
        "taller",
        "cm",
    ),
    Column(
        "Score|Points|Result",
        whole(0, 500),
        "How many points did {x} get?|What did {x} score?|What is {x}'s score?|How many points has {x}?",
        "Who scored {v}?|Who got {v} points?",
        "Who got the most points?|Who has the best score?|Who came first?",
        "Who got the fewest points?|Who has the worst score?|Who came last?",
        "more points",
    ),
    Column(
        "Sport|Hobby",
        one_of(*SPORTS),
        "What sport does {x} do?|Which sport does {x} like?|What does {x} do for fun?",
        "Who likes {w}?|Who does {w}?",
    ),
    Column(
        "Favorite color|Color",
        one_of(*COLORS),
        "What color does {x} like?|What is {x}'s favorite color?",
        "Who likes {w}?|Whose color is {w}?",
    ),
    Column(
        "Day off|Free day",
        one_of(*DAYS),
        "On which day is {x} off?|When is {x} off?|Which day does {x} have free?",
        "Who is off on {v}?|Who is free on {v}?",
    ),
    Column(
        "Salary|Pay|Wage",
        lambda rng: f"${rng.integers(900, 9000):,}",
        "How much does {x} earn?|What is {x} paid?|How much money does {x} make?",
        "Who earns {v}?",
        "Who earns the most?|Who is paid best?",
        "Who earns the least?",
        "a higher wage",
    ),
    Column(
        "Pet|Animal",
        one_of(*PETS),
        "What pet does {x} have?|Which animal does {x} keep?|What kind of pet has {x}?",
        "Who has {n}?|Who keeps {n}?|Whose pet is {n}?",
    ),
    Column("Start|Begins", clock(6, 12), "When does {x} start?|What time does {x} begin?", "Who starts at {v}?"),
    Column(
        "Grade|Mark",
        one_of("A", "B", "C", "D", "A+", "B-", "C+"),
        "What grade did {x} get?|What mark does {x} have?|Which grade has {x}?",
        "Who got {n}?|Who has the grade {v}?",
    ),
    Column(
        "Birthday|Born",
        lambda rng: f"{rng.integers(1, 29)} {pick(rng, ('Jan', 'Mar', 'May', 'Jul', 'Sep', 'Nov'))}",
        "When is {x}'s birthday?|When was {x} born?",
        "Whose birthday is on {v}?|Who was born on {v}?",
    ),
    Column(
        "Books|Books read",
        whole(1, 60),
        "How many books did {x} read?|How many books has {x} read?",
        "Who read {v} books?",
        "Who read the most books?",
        "Who read the fewest books?",
    ),
    Column(
        "Brings|Food",
        one_of(*DISHES),
        "What does {x} bring?|What will {x} bring?",
        "Who brings the {w}?|Who will bring the {w}?",
    ),
)
SUBJECTS_OF_TABLES: dict[str, Subject] = {
    "people": Subject("Name|Person|Member|Employee|Student|Guest|Player", tuple(FIRST), "{}", "people|names", PEOPLE),
    "full names": Subject(
        "Name|Employee|Contact",
        tuple(f"{a} {b}" for a, b in zip(FIRST, LAST, strict=False)),
        "{}",
        "people|names",
        PEOPLE,
    ),
    "cities": Subject(
        "City|Town|Place",
        tuple(CITIES),
        "{}",
        "cities|places",
        (
            Column(
                "Population|People|Inhabitants",
                whole(20000, 4000000),
                "How many people live in {x}?|What is the population of {x}?|How many inhabitants does {x} have?",
                "Which city has {v} people?",
                "Which city is the largest?|Where do the most people live?|Which city has the most people?",
                "Which city is the smallest?|Where do the fewest people live?",
                "larger",
            ),
            Column(
                "Distance|Far",
                whole(3, 900),
                "How far is it to {x}?|How far away is {x}?|What is the distance to {x}?",
                "Which city is {v} away?",
                "Which city is the farthest?|Which place is farthest away?",
                "Which city is the nearest?|Which place is closest?",
                "farther away",
                "km",
            ),
            Column(
                "Founded|Since",
                whole(1000, 1950),
                "When was {x} founded?|In which year was {x} founded?",
                "Which city was founded in {v}?",
                "Which city is the youngest?",
                "Which city is the oldest?",
            ),
            Column(
                "Mayor",
                one_of(*LAST),
                "Who is the mayor of {x}?|Who is mayor in {x}?",
                "Where is {v} the mayor?|Which city has {v} as mayor?",
            ),
            Column(
                "Fare|Ticket",
                whole(5, 300),
                "How much is a ticket to {x}?|What does it cost to go to {x}?|How much do I pay to get to {x}?",
                "Where can I go for {v}?",
                "Which trip is the most expensive?|Where is it most expensive to go?",
                "Which trip is the cheapest?|Where is it cheapest to go?",
                unit="EUR",
            ),
            Column(
                "Hotels|Schools|Museums|Parks",
                whole(2, 90),
                "How many {head} are there in {x}?|How many {head} does {x} have?",
                "Which city has {v} {head}?",
                "Which city has the most {head}?",
                "Which city has the fewest {head}?",
            ),
        ),
    ),
    "goods": Subject(
        "Product|Item|Article|Goods",
        tuple(GOODS),
        "the {}",
        "products|items",
        (
            Column(
                "Price|Cost|Price each",
                dollars(1, 90),
                "How much does {x} cost?|How much is {x}?|What is the price of {x}?|What does {x} cost?",
                "What costs {v}?|Which one costs {v}?",
                "Which is the most expensive?|What costs the most?|Which item has the highest price?",
                "Which is the cheapest?|What costs the least?|Which item has the lowest price?",
                "more expensive",
            ),
            Column(
                "Stock|In stock|Quantity|Left",
                whole(1, 900),
                "How many {s} are in stock?|How many {s} do they have?|How many {s} are left?",
                "",
                "Which item is there most of?",
                "Which item is there least of?",
            ),
            Column(
                "Weight",
                whole(1, 60),
                "How heavy is {x}?|What does {x} weigh?|How much does {x} weigh?",
                "What weighs {v}?",
                "Which is the heaviest?|What weighs the most?",
                "Which is the lightest?|What weighs the least?",
                "heavier",
                "kg",
            ),
            Column(
                "Color",
                one_of(*COLORS),
                "What color is {x}?|Which color does {x} have?",
                "What is {w}?|Which item is {w}?",
            ),
            Column(
                "Shelf|Aisle",
                whole(1, 40),
                "Where do I find {x}?|Which {head} is {x} on?|On which {head} is {x}?",
                "What is on {head} {v}?|What do I find on {head} {v}?",
            ),
            Column(
                "Made in|Origin",
                one_of(*COUNTRIES),
                "Where is {x} made?|Which country does {x} come from?|Where does {x} come from?",
                "What comes from {v}?|What is made in {v}?",
            ),
            Column(
                "Sold|Units sold|Sales",
                whole(1, 2000),
                "How many {s} were sold?|How many {s} did they sell?",
                "",
                "What sold best?|Which item was sold most often?",
                "What sold worst?|Which item was sold least often?",
            ),
            Column(
                "Size",
                one_of("S", "M", "L", "XL", "Small", "Medium", "Large"),
                "What size is {x}?|Which size does {x} have?",
                "Which item has size {v}?",
            ),
        ),
    ),
    "teams": Subject(
        "Team|Club",
        tuple(f"{color} {animal}" for color in COLORS for animal in ANIMALS),
        "{}",
        "teams|clubs",
        (
            Column(
                "Wins|Won|Games won",
                whole(0, 40),
                "How many games did {x} win?|How often did {x} win?|How many wins do {x} have?",
                "Which team won {v} games?",
                "Which team won the most games?|Who won most often?",
                "Which team won the fewest games?|Who won least often?",
                "more wins",
            ),
            Column(
                "Losses|Lost|Games lost",
                whole(0, 40),
                "How many games did {x} lose?|How often did {x} lose?",
                "Which team lost {v} games?",
                "Which team lost the most games?|Who lost most often?",
                "Which team lost the fewest games?|Who lost least often?",
            ),
            Column("Draws|Drawn", whole(0, 20), "How many games did {x} draw?|How many draws did {x} have?"),
            Column(
                "Points|Pts",
                whole(0, 99),
                "How many points do {x} have?|How many points have {x} got?",
                "Which team has {v} points?",
                "Which team leads?|Which team has the most points?|Who is in front?",
                "Which team has the fewest points?|Who is last?",
                "more points",
            ),
            Column(
                "Goals",
                whole(3, 90),
                "How many goals did {x} score?|How many goals did {x} shoot?",
                "Which team scored {v} goals?",
                "Which team scored the most goals?",
                "Which team scored the fewest goals?",
            ),
            Column(
                "Coach|Trainer",
                one_of(*LAST),
                "Who is the coach of {x}?|Who coaches {x}?|Who trains {x}?",
                "Which team does {v} coach?|Whose coach is {v}?",
            ),
            Column(
                "Home|City",
                one_of(*CITIES),
                "Where do {x} play?|Where are {x} from?|Where is the home of {x}?",
                "Which team is from {v}?|Which team plays in {v}?",
            ),
        ),
    ),
    "classes": Subject(
        "Class|Course|Subject|Lesson",
        tuple(SUBJECTS),
        "{}",
        "classes|subjects",
        (
            Column(
                "Teacher|Taught by|Tutor",
                one_of(*LAST),
                "Who teaches {x}?|Who is the teacher of {x}?|Who gives the {x} class?",
                "What does {v} teach?|Which class does {v} give?",
            ),
            Column(
                "Room",
                whole(1, 400),
                "Where is {x} taught?|In which room is {x}?|Where do I go for {x}?",
                "Which class is in room {v}?|What is taught in room {v}?",
            ),
            Column(
                "Time|Starts|Begins",
                clock(8, 18),
                "When does {x} start?|What time is {x}?|When does {x} begin?|At what time is {x}?",
                "What begins at {v}?|Which class is at {v}?",
            ),
            Column(
                "Day",
                one_of(*DAYS),
                "On which day is {x}?|When is {x}?|What day is {x} on?",
                "What is on {v}?|Which class is on {v}?",
            ),
            Column(
                "Students|Pupils",
                whole(4, 60),
                "How many {head} take {x}?|How many {head} are in {x}?|How many {head} does {x} have?",
                "Which class has {v} {head}?",
                "Which class has the most {head}?|Which class is the largest?",
                "Which class has the fewest {head}?|Which class is the smallest?",
                "more students",
            ),
            Column(
                "Hours|Weeks",
                whole(1, 30),
                "How many {head} does {x} take?|How many {head} is {x}?",
                "",
                "Which class takes the longest?",
                "Which class is the shortest?",
            ),
            Column(
                "Fee|Price",
                whole(10, 400),
                "How much is {x}?|What does {x} cost?|What is the fee for {x}?",
                "What costs {v}?",
                "Which class is the most expensive?",
                "Which class is the cheapest?",
                "more expensive",
                "EUR",
            ),
        ),
    ),
    "days": Subject(
        "Day",
        tuple(DAYS),
        "on {}",
        "days",
        (
            *_weather_columns(),
            Column(
                "Visitors|Guests|Customers",
                whole(10, 5000),
                "How many {head} came {x}?|How many {head} were there {x}?",
                "When did {v} {head} come?",
                "Which day had the most {head}?|When did the most {head} come?",
                "Which day had the fewest {head}?|When did the fewest {head} come?",
            ),
            Column(
                "Opens|Open from",
                clock(6, 11),
                "When does it open {x}?|From when is it open {x}?|What time do they open {x}?",
                "On which day does it open at {v}?",
            ),
            Column(
                "Closes|Open until",
                clock(15, 23),
                "When does it close {x}?|Until when is it open {x}?|How long are they open {x}?",
                "On which day does it close at {v}?",
            ),
            Column(
                "Lunch|Meal|Dinner",
                one_of(*DISHES),
                "What is there to eat {x}?|What is for {head} {x}?|What do they serve {x}?",
                "When is there {w}?|On which day is there {w}?",
            ),
            Column(
                "On duty|Duty",
                one_of(*FIRST),
                "Who is on duty {x}?|Who has to work {x}?|Whose turn is it {x}?",
                "On which day is {v} on duty?|When is it {v}'s turn?|When does {v} work?",
            ),
            Column("Cook|Cooks", one_of(*LAST), "Who cooks {x}?|Who is the cook {x}?", "On which day does {v} cook?"),
        ),
    ),
    "weather": Subject("City|Place|Region", tuple(CITIES), "in {}", "cities|places", _weather_columns()),
    "animals": Subject(
        "Animal|Species",
        tuple(BEASTS),
        "the {}",
        "animals",
        (
            Column(
                "Speed|Top speed",
                whole(5, 110),
                "How fast is {x}?|How fast can {x} run?|What is the speed of {x}?",
                "",
                "Which animal is the fastest?",
                "Which animal is the slowest?",
                "faster",
                "km/h",
            ),
            Column(
                "Weight",
                whole(2, 3000),
                "How heavy is {x}?|How much does {x} weigh?|What does {x} weigh?",
                "",
                "Which animal is the heaviest?",
                "Which animal is the lightest?",
                "heavier",
                "kg",
            ),
            Column(
                "Life span|Age|Lives",
                whole(2, 80),
                "How long does {x} live?|How old does {x} get?",
                "",
                "Which animal lives longest?|Which one gets the oldest?",
                "Which animal has the shortest life?",
                unit="years",
            ),
            Column(
                "Food|Eats|Diet",
                one_of(*FOODS),
                "What does {x} eat?|What is the food of {x}?|What do they feed {x}?",
                "Which animal eats {w}?|Who eats {w}?",
            ),
            Column(
                "Number|Count|In the zoo",
                whole(1, 90),
                "How many {s} are there?|How many {s} were counted?",
                "",
                "Which animal is most common?|Which animal is there most of?",
                "Which animal is the rarest?|Which animal is there least of?",
            ),
            Column(
                "Name|Called",
                one_of(*FIRST),
                "What is {x} called?|What is {x}'s name?",
                "Which animal is called {v}?|Which animal is {v}?",
            ),
        ),
    ),
    "books": Subject(
        "Book|Title",
        tuple(f"The {a} {b}" for a in ADJECTIVES[:20] for b in NOUNS[:20]),
        "{}",
        "books|titles",
        (
            Column(
                "Author|By|Writer",
                one_of(*LAST),
                "Who wrote {x}?|Who is the author of {x}?|Who is {x} by?",
                "What did {v} write?|Which book is by {v}?",
            ),
            Column(
                "Pages",
                whole(60, 900),
                "How many pages does {x} have?|How long is {x}?",
                "Which book has {v} pages?",
                "Which book is the longest?|Which book has the most pages?",
                "Which book is the shortest?|Which book has the fewest pages?",
                "longer",
            ),
            Column(
                "Year|Published",
                whole(1890, 2026),
                "When did {x} come out?|In which year did {x} appear?|How old is {x}, what year?",
                "What came out in {v}?",
                "Which book is the newest?",
                "Which book is the oldest?",
                "newer",
            ),
            Column(
                "Price|Cost",
                dollars(4, 60),
                "How much is {x}?|What does {x} cost?|How much do I pay for {x}?",
                "Which book costs {v}?",
                "Which book is the most expensive?",
                "Which book is the cheapest?",
                "more expensive",
            ),
            Column(
                "Reader|Lent to|Borrowed by",
                one_of(*FIRST),
                "Who has {x}?|Who borrowed {x}?|Who is reading {x}?",
                "Which book does {v} have?|What did {v} borrow?",
            ),
        ),
    ),
    "hills": Subject(
        "Mountain|Peak|Hill",
        tuple(f"Mount {name}" for name in (*NOUNS, *LAST)),
        "{}",
        "mountains|peaks",
        (
            Column(
                "Height|Altitude",
                whole(400, 7000),
                "How high is {x}?|What is the height of {x}?",
                "",
                "Which is the highest?|Which mountain is the tallest?",
                "Which is the lowest?",
                "higher",
                "m",
            ),
            Column(
                "Country|In",
                one_of(*COUNTRIES),
                "Where is {x}?|Which country is {x} in?|In which country does {x} stand?",
                "Which mountain is in {v}?",
            ),
            Column(
                "First climbed|Climbed",
                whole(1790, 1990),
                "When was {x} first climbed?|In which year was {x} climbed?",
                "",
                "Which was climbed last?",
                "Which was climbed first?",
            ),
        ),
    ),
}


def table(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A table with a header and row names, with or without rules."""
    document = Document("a table", Page(rng, 768, 512, perfect))
    if chance(rng, 0.12):
        return _years(rng, document)
    subject = pick(rng, tuple(SUBJECTS_OF_TABLES.values()))
    count = min(int(pick(rng, (1, 2, 2, 3, 3, 4))), len(subject.columns))
    columns = pick_some(rng, subject.columns, count)
    names = pick_some(rng, subject.names, int(rng.integers(2, 7)))
    head, heads = pick(rng, subject.heads.split("|")), []
    cells: list[list[str]] = [[] for _ in names]
    for column in columns:
        heading, in_heading = pick(rng, column.heads.split("|")), chance(rng, 0.5)
        heads.append(f"{heading} ({column.unit})" if column.unit and in_heading else heading)
        suffix = f" {column.unit}" if column.unit and not in_heading else ""
        for row in cells:
            row.append(column.make(rng) + suffix)
    if len({head, *heads}) <= len(heads):  # "Name" of an animal in a table of names
        return table(rng, perfect)
    lines = _grid(rng, document, head, heads, names, cells)
    _ask_about_meaning(rng, document, subject, columns, heads, names, cells, lines)
    _ask_about_form(rng, document, subject, head, heads, names, cells, lines)
    return document


def _ask_about_meaning(
    rng: np.random.Generator,
    document: Document,
    subject: Subject,
    columns: list[Column],
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    lines: list[str | None],
) -> None:
    where = {"on {}": "On which day", "in {}": "Where"}.get(subject.called, "")
    who = "Who" if subject.called == "{}" and "people" in subject.many else "Which"
    for index, (column, head) in enumerate(zip(columns, heads, strict=True)):
        values = [row[index] for row in cells]
        common = {"head": head.partition(" (")[0].lower(), "where": where}

        def ask(skill: str, wordings: str, answer: str, *evidence: str | None, **filled: str) -> None:
            if wordings:
                question = pick(rng, wordings.split("|")).format(**common, **filled)  # noqa: B023 (used in this turn)
                document.ask(rng, skill, question[0].upper() + question[1:], answer, *evidence)

        def of_row(name: str) -> dict[str, str]:
            return {"x": subject.call(name), "s": f"{name.lower()}s"}

        for name, value, line in zip(names, values, lines, strict=True):
            ask(f"value {index % 2}", column.ask, value, line, **of_row(name))
            if values.count(value) == 1:
                ask("row", column.find, name, line, v=value, w=value.lower(), n=with_article(value.lower()))
        if column.most and len(set(values)) == len(values):
            numbers = [number_of(value) for value in values]
            most, least = numbers.index(max(numbers)), numbers.index(min(numbers))
            ask("most", column.most, names[most], *lines)
            ask("least", column.least, names[least], *lines)
            if column.more:
                one, other = (int(place) for place in rng.permutation(len(names))[:2])
                verb, is_quality = ("have", False) if column.more.split()[0] in ("more", "a") else ("is", True)
                is_quality = is_quality or column.more == "more expensive"
                a, b = subject.call(names[one]), subject.call(names[other])
                two = f"{a} or {b}"
                if is_quality:
                    either, whether = f"{who} is {column.more}, {two}?", f"Is {a} {column.more} than {b}?"
                else:
                    either = f"{who} has {column.more}, {two}?"
                    whether = (
                        f"{'Do' if subject.many.startswith('teams') else 'Does'} {a} {verb} {column.more} than {b}?"
                    )
                winner = one if numbers[one] > numbers[other] else other
                ask("either", either, names[winner], lines[one], lines[other])
                ask("compare", whether, "Yes." if winner == one else "No.", lines[one], lines[other])
        absent = pick(rng, [name for name in subject.names if name not in names] or ["Friday"])
        if absent not in names:
            document.lack(rng, _capital(pick(rng, column.ask.split("|")).format(**common, **of_row(absent))))
        other_value = column.make(rng)
        if column.find and other_value not in values and not column.unit:
            filled = {"v": other_value, "w": other_value.lower(), "n": with_article(other_value.lower())}
            document.lack(rng, _capital(pick(rng, column.find.split("|")).format(**common, **filled)))
    others = [column for column in subject.columns if column not in columns]
    if others:
        column = pick(rng, others)
        filled = {"head": column.heads.split("|")[0].lower(), "where": where, **of_row(pick(rng, names))}
        if not {head.lower() for head in column.heads.split("|")} & {head.lower() for head in heads}:
            document.lack(rng, _capital(pick(rng, column.ask.split("|")).format(**filled)))


def _capital(question: str) -> str:
    return question[0].upper() + question[1:]


def _ask_about_form(
    rng: np.random.Generator,
    document: Document,
    subject: Subject,
    head: str,
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    lines: list[str | None],
) -> None:
    """Ask by the names of rows and columns, whatever they mean."""
    for index, heading in enumerate(heads):
        label = heading.partition(" (")[0].rstrip(".")
        for name, row, line in zip(names, cells, lines, strict=True):
            wordings = (
                f"What is the {label.lower()} of {name}?|{name}: {label.lower()}?|"
                f"What is in row {name}, column {label}?|What stands under {label} for {name}?|"
                f"Look up {label} for {name}."
            )
            document.ask(rng, "cell", wordings, row[index], line)
        values = [row[index] for row in cells]
        document.ask(
            rng,
            "form",
            f"List the {label.lower()} column.|What is in the column {label}?|Read the column {label}.",
            ", ".join(values) if not any(", " in value for value in values) else None,
            *lines,
        )
    many = pick(rng, subject.many.split("|"))
    wordings = (
        f"How many {many} are listed?|How many rows are there below the header?|How many {many} are in the table?"
    )
    document.ask(rng, "rows", wordings, str(len(names)), *lines)


def _years(rng: np.random.Generator, document: Document) -> Document:
    """Numbers of two years."""
    first = int(rng.integers(1980, 2016))
    years = [str(first), str(first + int(pick(rng, (1, 2, 5, 10, 20))))]
    head, pool, cell, noun = pick(
        rng,
        (
            ("City", CITIES, whole(11000, 900000), "people"),
            ("Country", COUNTRIES, whole(20, 900), "visitors"),
            ("Sport", SPORTS, whole(20, 900), "members"),
            ("Subject", SUBJECTS, whole(20, 900), "students"),
            ("Store", CITIES, whole(11000, 90000), "customers"),
        ),
    )
    names = pick_some(rng, pool, int(rng.integers(2, 6)))
    cells = [[cell(rng), cell(rng)] for _ in names]
    if chance(rng, 0.5):  # one differs from all others
        odd = int(rng.integers(len(names)))
        rising = chance(rng, 0.5)
        cells = [sorted(row, key=number_of, reverse=(place == odd) == rising) for place, row in enumerate(cells)]
    lines = _grid(rng, document, head, years, names, cells)
    grown = [number_of(row[1]) > number_of(row[0]) for row in cells]
    start, end = years
    for name, row, line, is_more in zip(names, cells, lines, grown, strict=True):
        for year, value in zip(years, row, strict=True):
            document.ask(
                rng,
                "value",
                f"How many {noun} did {name} have in {year}?|What was the number for {name} in {year}?|"
                f"How many {noun} were there in {name} in {year}?|{name} in {year}?",
                value,
                line,
            )
        document.ask(
            rng,
            "change",
            f"Did {name} grow or shrink from {start} to {end}?|Did the number for {name} go up or down?|"
            f"How did {name} change between {start} and {end}?",
            "It went up." if is_more else "It went down.",
            line,
        )
        document.ask(
            rng,
            "compare",
            f"Did {name} have more {noun} in {end} than in {start}?",
            "Yes." if is_more else "No.",
            line,
        )
    for is_more, verb in ((True, "grew|gained " + noun), (False, "shrank|lost " + noun)):
        if grown.count(is_more) == 1:
            wordings = "|".join(f"Which {head.lower()} {v} between {start} and {end}?" for v in verb.split("|"))
            document.ask(rng, "change of one", wordings, names[grown.index(is_more)], *lines)
    for year, values in zip(years, zip(*cells, strict=True), strict=True):
        numbers = [number_of(value) for value in values]
        if len(set(numbers)) == len(numbers):
            document.ask(
                rng,
                "most",
                f"Which {head.lower()} had the most {noun} in {year}?|Which {head.lower()} was the largest in {year}?",
                names[numbers.index(max(numbers))],
                *lines,
            )
            document.ask(
                rng,
                "least",
                f"Which {head.lower()} had the fewest {noun} in {year}?",
                names[numbers.index(min(numbers))],
                *lines,
            )
    document.ask(rng, "rows", "How many rows are there below the header?|How many are listed?", str(len(names)), *lines)
    document.lack(rng, f"How many {noun} did {pick(rng, names)} have in {int(end) + 3}?")
    document.lack(rng, f"Why did {pick(rng, names)} change?|Who counted them?")
    document.lack(
        rng, f"How many {noun} did {pick(rng, [name for name in pool if name not in names])} have in {start}?"
    )
    return document


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
    lines = _grid(rng, document, "Time", heads, names, cells)
    for name, row, line in zip(names, cells, lines, strict=True):
        place = row[0]
        document.ask(
            rng,
            "departure",
            f"When does the {vehicle} to {place} leave?|What time is the {vehicle} to {place}?|"
            f"When is the departure to {place}?|When do I leave for {place}?|When can I go to {place}?",
            name,
            line,
        )
        document.ask(
            rng,
            "destination",
            f"Where does the {vehicle} at {name} go?|Where does the {name} go?",
            place,
            line,
        )
        for head, value in zip(heads[1:], row[1:], strict=True):
            if head == stand:
                word = stand.lower()
                wordings = (
                    f"Which {word} does the {vehicle} to {place} leave from?|"
                    f"Which {word} do I go to for {place}?|From which {word} does the {name} leave?"
                )
                document.ask(rng, "stand", wordings, value, line)
            elif head == "Status":
                document.ask(
                    rng,
                    "status",
                    f"Is the {vehicle} to {place} on time?",
                    "Yes." if value == "On time" else "No.",
                    line,
                )
                document.ask(
                    rng, "state", f"What is the status of the {vehicle} to {place}?|What about {place}?", value, line
                )
            else:
                document.ask(
                    rng,
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
                    rng, "which", f"Which {vehicle} is {state.lower()}?|Where does the {state.lower()} {vehicle} go?",
                    places[states.index(state)], *lines,
                )  # fmt: skip
    document.ask(rng, "first", f"Where does the first {vehicle} go?|What is the next destination?", places[0], *lines)
    document.ask(
        rng, "last", f"When does the last {vehicle} leave?|At what time does the last one go?", names[-1], *lines
    )
    document.ask(
        rng,
        "rows",
        f"How many {vehicle}{'es' if vehicle == 'bus' else 's'} are listed?".replace("ferrys", "ferries"),
        str(len(names)),
        *lines,
    )
    other = pick(rng, [city for city in CITIES if city not in places])
    document.lack(rng, f"When does the {vehicle} to {other} leave?|Where does the {vehicle} to {other} leave from?")
    document.lack(rng, f"How much is a ticket to {pick(rng, places)}?|When does it arrive in {pick(rng, places)}?")
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
        document.page.add(line_name, 40, 10, 26, bold=True, color=_ink(document.page)) if chance(rng, 0.6) else None
    )
    if caption:
        document.ask(
            rng,
            "line",
            f"Which line is it?|What line does the timetable show?|Which {vehicle} is the timetable for?",
            caption,
        )
    else:
        document.lack(rng, f"Which line is it?|What is the number of the {vehicle}?")
    down = chance(rng, 0.6)
    names, heads = (stops, runs) if down else (runs, stops)
    cells = times if down else [list(column) for column in zip(*times, strict=True)]
    lines = _grid(
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
            document.ask(rng, "stop", _capital(wordings), times[place][number], line)
            document.ask(
                rng,
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
                rng,
                "first",
                f"When does the first {vehicle} stop at {called}?|When is the first {vehicle} from {called}?",
                times[place][0],
                *evidence,
            )
            document.ask(
                rng,
                "last",
                f"When does the last {vehicle} stop at {called}?|When is the last {vehicle} from {called}?",
                times[place][-1],
                *evidence,
            )
        if place:
            before = stops[place - 1].lower()
            document.ask(
                rng,
                "next",
                f"Which stop comes after the {before}?|Where does it stop after the {before}?",
                stop,
                *lines,
            )
    document.ask(rng, "start", f"Where does the {vehicle} start?|What is the first stop?", stops[0], *lines)
    document.ask(rng, "end", f"Where does the {vehicle} end?|What is the last stop?", stops[-1], *lines)
    document.ask(
        rng, "count", f"How many stops are there?|How many times does the {vehicle} stop?", str(len(stops)), *lines
    )
    absent = pick(rng, [stop for stop in STOPS if stop not in stops]).lower()
    document.lack(
        rng,
        f"When does the {vehicle} stop at the {absent}?|When does the last {vehicle} leave the {absent}?",
    )
    document.lack(
        rng, f"How much is a ticket?|Who drives the {vehicle}?|How full is the {vehicle}?|Is the {vehicle} late?"
    )
    return document


def _ink(page: Page) -> str:
    return "black" if page.background == "white" else "#ffe060"


def _grid(
    rng: np.random.Generator,
    document: Document,
    head: str,
    heads: list[str],
    names: list[str],
    cells: list[list[str]],
    caption: bool = True,
) -> list[str | None]:
    """Set a table; returns the line of the layout for every row, None where OCR errs so that the row is not told."""
    page, color = document.page, _ink(document.page)
    top, step, size = 40, int(min(64, 420 / (len(names) + 1))), int(rng.integers(18, 25))
    lefts = [40 + index * (700 // (len(heads) + 1)) for index in range(len(heads) + 1)]
    if not caption:
        top += 20
    elif chance(rng, 0.4):
        text = f"{pick(rng, ('List', 'Table', 'Overview', 'Facts', 'Summary'))} by {head.lower()}"
        document.ask(
            rng,
            "form",
            "What is the title of the table?|What is the heading?|What is the table about?",
            page.add(text, 40, 14, 26, color=color, bold=True),
        )
        top += 40
    if chance(rng, 0.4):
        _add_rules(page, lefts, top, step, len(names) + 1, color)
    has_corner = chance(rng, 0.8)
    shift = int(caption and len(heads) > 1 and chance(rng, 0.12))  # the names stand in the second column
    labels, rows = [head, *heads], [[name, *row] for name, row in zip(names, cells, strict=True)]
    if shift:
        has_corner = True
        labels, rows = (
            [heads[0], head, *heads[1:]],
            [[row[0], name, *row[1:]] for name, row in zip(names, cells, strict=True)],
        )
    for left, text in zip(lefts, labels if has_corner else ["", *heads], strict=True):
        if text:
            page.add(text, left, top, size, color=color, bold=True, droppable=False)
    complete = []
    for number, row in enumerate(rows):
        read = [
            page.add(text, left, top + (number + 1) * step, size, color=color)
            for left, text in zip(lefts, row, strict=True)
        ]
        complete.append(read == row)
    document.ask(
        rng,
        "form",
        "What are the columns?|Which columns does the table have?|What are the headings of the columns?",
        ", ".join(labels if has_corner else heads),
        *heads,
    )
    return _lines_of(layout_text(page.boxes), rows, complete, labels)


def _lines_of(text: str, rows: list[list[str]], complete: list[bool], heads: list[str]) -> list[str | None]:
    """The line of each row in a layout, None if a string was misread or its cells are labeled by other than heads."""
    found: dict[tuple[str, ...], str] = {}
    for line in text.split("\n"):
        parts = [part.rpartition(": ") for part in line.split(" | ")]
        if {head for head, colon, _ in parts if colon} <= set(heads):
            found[tuple(cell for _, _, cell in parts)] = line
        if line.count(": ") == 1 and " | " not in line:  # two columns that the layout takes for a chart
            found[tuple(line.split(": "))] = line
    return [found.get(tuple(row)) if is_read else None for row, is_read in zip(rows, complete, strict=True)]


def _add_rules(page: Page, lefts: list[int], top: int, step: int, rows: int, color: str) -> None:
    for row in range(rows + 1):
        y = top - 12 + row * step
        page.shape("line", lefts[0] - 10, y, 758, y, fill=color)
    for left in (*lefts, 768):
        page.shape("line", left - 10, top - 12, left - 10, top - 12 + rows * step, fill=color)


def form(rng: np.random.Generator, perfect: bool = False) -> Document:
    """A form, a business card or a name badge: labels with values."""
    if chance(rng, 0.4):
        return _business_card(rng, Page(rng, 640, 400, perfect))
    page = Page(rng, 640, 480, perfect)
    document = Document(pick(rng, ("a form", "a card")), page)
    heading = pick(
        rng,
        (
            "Registration",
            "Application Form",
            "Member Card",
            "Order Form",
            "Library Card",
            "Contact",
            "Guest List",
            "ID Card",
        ),
    )
    document.ask(
        rng,
        "heading",
        "What is the heading?|What is the title of this form?|What is written at the top?",
        page.add(heading, 40, 24, 30, bold=True),
    )
    fields: list[tuple[str, str, str]] = [
        ("Name", person(rng), "What is the name?|Whose is this?|Who filled this in?"),
        ("Phone", phone(rng), "What is the phone number?|Which phone number is given?"),
        ("Email", email(rng), "What is the e-mail address?|What is the email?"),
        ("Address", address(rng), "What is the address?|Where does the person live?"),
        ("Date of birth", date(rng), "What is the date of birth?|When was the person born?"),
        ("City", pick(rng, CITIES), "Which city is given?|What is the city?"),
        ("Job", pick(rng, JOBS), "What is the job?|What does the person do?"),
        ("Member no.", str(rng.integers(10000, 999999)), "What is the member number?|Which member number is it?"),
        ("Nationality", pick(rng, COUNTRIES), "Which nationality is given?|Which country is the person from?"),
    ]
    shown, apart = set(rng.permutation(len(fields))[: int(rng.integers(3, 8))].tolist()), chance(rng, 0.5)
    y = 90
    for number, (label, value, wordings) in enumerate(fields):
        if number not in shown:
            document.lack(rng, wordings)
            continue
        if apart:
            left, right = page.add(label, 40, y, 20), page.add(value, 260, y, 20)
            document.ask(rng, "field", wordings, right, f"{left} | {right}" if left and right else None)
        else:
            text = page.add(f"{label}: {value}", 40, y, 20)
            document.ask(rng, "field", wordings, (text and text.partition(": ")[2]) or None, text)
        y += 46
    return document


def _business_card(rng: np.random.Generator, page: Page) -> Document:
    """A name, a job and a company without labels."""
    document = Document("a business card", page)
    name, job, company = person(rng), pick(rng, JOBS), f"{pick(rng, (*NOUNS, *LAST))} {pick(rng, COMPANIES)}"
    first = name.split()[0]
    lines = [
        (name, "name", f"Whose card is it?|What is the name?|Who works for {company}?"),
        (
            job,
            "job",
            f"What does {first} do?|What is {first}'s job?|What does {name} work as?|What is the job of {name}?",
        ),
        (
            company,
            "company",
            f"Which company does {first} work for?|Where does {first} work?|What is the company called?",
        ),
    ]
    if chance(rng, 0.3):
        lines = [lines[2], *lines[:2]]
    for value, skill, wordings in (
        (phone(rng), "phone", f"How can I call {first}?|What is {first}'s phone number?|Which number do I call?"),
        (email(rng), "email", f"What is {first}'s e-mail address?|Where can I write to {first}?"),
        (address(rng), "address", f"Where is the office?|What is the address of {company}?|Where can I visit {first}?"),
    ):
        if chance(rng, 0.7):
            lines.append((value, skill, wordings))
        else:
            document.lack(rng, wordings)
    for number, (value, skill, wordings) in enumerate(lines):
        text = page.add(value, 40, 40 + 56 * number, 28 if number == 0 else 20, bold=number == 0)
        document.ask(rng, skill, wordings, value if text == value else None, text)
    document.lack(
        rng, f"How old is {first}?|When was {first} born?|What does {first} earn?|Who is the boss of {first}?"
    )
    document.lack(rng, f"When is {first} in the office?|How many people work for {company}?|Is {first} married?")
    return document
