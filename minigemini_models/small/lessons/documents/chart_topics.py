"""What charts are about: labels, titles and questions."""

from dataclasses import dataclass

from .document_words import (
    ANIMALS,
    CITIES,
    COLORS,
    COUNTRIES,
    DAYS,
    DISHES,
    FIRST,
    GOODS,
    JOBS,
    MONTHS,
    SPORTS,
    SUBJECTS,
    words,
)

FRUIT = words("Apples Pears Plums Cherries Grapes Lemons Oranges Figs Dates Limes Kiwis Peaches Bananas Mangos")
SPENDING = words("Rent Food Travel Clothes Books Savings Music Sports Insurance Phone Power Water Other Gifts Fuel")
ENERGY = words("Coal Gas Oil Wind Solar Water Nuclear Wood")
VEHICLES = words("Bus Train Car Bike Tram Ferry Scooter")
MONTH_LABELS = tuple(month[:3] for month in MONTHS)
DAY_LABELS = tuple(day[:3] for day in DAYS)
YEARS = tuple(str(year) for year in range(2004, 2026))
LABELS: tuple[tuple[str, ...], ...] = (
    MONTH_LABELS,
    DAY_LABELS,
    tuple(CITIES),
    tuple(COUNTRIES),
    tuple(FRUIT),
    tuple(FIRST),
    tuple(SPORTS),
    tuple(ANIMALS),
    tuple(COLORS),
    tuple(SUBJECTS),
    tuple(JOBS),
    tuple(SPENDING),
    ("Q1", "Q2", "Q3", "Q4"),
    tuple("ABCDEFGH"),
    ("North", "South", "East", "West"),
    ("Bus", "Train", "Car", "Bike", "Walk", "Tram"),
    YEARS,
)
IN_ORDER = ("Jan", "Mon", "Q1", "A", "2004")
"""First labels of the groups that keep their order."""
MEASURES = (
    "Sales",
    "Visitors",
    "Rain (mm)",
    "Temperature",
    "Votes",
    "Goals",
    "Books read",
    "Hours",
    "Cars sold",
    "Score",
    "Income",
    "Number of pets",
    "Orders",
    "Students",
    "Steps",
    "Calls",
    "Cost",
    "Population",
    "Tickets",
    "Emails",
    "Points",
    "Births",
)


@dataclass(frozen=True)
class Topic:
    """What a chart is about, and what people ask about it.

    Wordings are separated by "|"; {x} is a label as it is called in a sentence, {a} and {b} are two of them, and
    {period} is what labels are that are times, such as "month".

    Attributes:
        titles: of the chart; {things} is what its labels are, such as "colors".
        labels: groups of labels, of which a chart shows one.
        ask: ask for the value of a label.
        most, least: ask for the label with the largest and the smallest value.
        more: ask whether {a} has more than {b}.
        trend: what rises or falls over time, for instance "the price"; empty if labels are no times.
        unit: form of a printed value.
        low, high: smallest and largest value.
    """

    titles: str
    labels: tuple[tuple[str, ...], ...]
    ask: str
    most: str
    least: str
    more: str
    trend: str = ""
    unit: str = "{:,}"
    low: int = 1
    high: int = 100


TIMES = (MONTH_LABELS, DAY_LABELS, YEARS)
PLACES = (CITIES, COUNTRIES)
CHART_TOPICS = (
    Topic(
        "Visitors|Museum visitors|Guests|Zoo visitors|Visitors per {period}",
        TIMES,
        "How many visitors came {x}?|How many people visited {x}?|How many visitors were there {x}?",
        "Which {period} had the most visitors?|When did the most people come?|What was the busiest {period}?",
        "Which {period} had the fewest visitors?|When did the fewest people come?|What was the quietest {period}?",
        "Did more people come {a} than {b}?|Were there more visitors {a} than {b}?",
        "the number of visitors",
        high=9000,
    ),
    Topic(
        "Rain|Rainfall (mm)|Rain in mm|Rain per {period}",
        (MONTH_LABELS, DAY_LABELS),
        "How much rain fell {x}?|How much did it rain {x}?|How many millimeters of rain fell {x}?",
        "Which {period} was the wettest?|When did it rain most?|Which {period} had the most rain?",
        "Which {period} was the driest?|When did it rain least?|Which {period} had the least rain?",
        "Did it rain more {a} than {b}?|Was it wetter {a} than {b}?",
        "the rainfall",
        high=160,
    ),
    Topic(
        "Temperature|Temperature (°C)|Average temperature|Weather",
        (MONTH_LABELS, DAY_LABELS),
        "How warm was it {x}?|What was the temperature {x}?|How many degrees was it {x}?",
        "Which {period} was the warmest?|When was it warmest?|Which {period} was the hottest?",
        "Which {period} was the coldest?|When was it coldest?|Which {period} was the coolest?",
        "Was it warmer {a} than {b}?",
        "the temperature",
        "{}°C",
        high=36,
    ),
    Topic(
        "Ticket price|Price of bread|Price of a stamp|Rent|Price per {period}",
        (YEARS, MONTH_LABELS),
        "How much was it {x}?|What was the price {x}?|What did it cost {x}?",
        "In which {period} was the price highest?|Which {period} was the most expensive?|When did it cost most?",
        "In which {period} was the price lowest?|Which {period} was the cheapest?|When did it cost least?",
        "Was it more expensive {a} than {b}?",
        "the price",
        "${}",
    ),
    Topic(
        "Sales|Cars sold|Sales per {period}|Bikes sold|Tickets sold",
        (*TIMES, ("Q1", "Q2", "Q3", "Q4")),
        "How many were sold {x}?|How much was sold {x}?|What were the sales {x}?",
        "Which was the best {period}?|When was most sold?|Which {period} had the best sales?",
        "Which was the worst {period}?|When was least sold?|Which {period} had the worst sales?",
        "Was more sold {a} than {b}?|Were sales better {a} than {b}?",
        "the number of sales",
        high=900,
    ),
    Topic(
        "Scores|Points|Quiz results|Test scores|Final scores|Game results",
        (FIRST,),
        "How many points did {x} get?|What did {x} score?|What is {x}'s score?|How did {x} do?",
        "Who did best?|Who got the most points?|Who scored highest?|Who has the best result?",
        "Who did worst?|Who got the fewest points?|Who scored lowest?",
        "Did {a} do better than {b}?|Did {a} get more points than {b}?",
    ),
    Topic(
        "Books read|Books per reader|Summer reading",
        (FIRST,),
        "How many books did {x} read?|How many books has {x} read?",
        "Who read the most books?|Who read most?",
        "Who read the fewest books?|Who read least?",
        "Did {a} read more books than {b}?|Did {a} read more than {b}?",
        high=40,
    ),
    Topic(
        "Distance (km)|Kilometers run|Distance walked",
        (FIRST,),
        "How far did {x} go?|How many kilometers did {x} do?",
        "Who went farthest?|Who covered the greatest distance?",
        "Who went the shortest way?|Who covered the least distance?",
        "Did {a} go farther than {b}?",
        high=60,
    ),
    Topic(
        "Favorite {things}|Votes|Class vote|Our favorite {things}|Survey",
        (FRUIT, ANIMALS, COLORS, SPORTS, SUBJECTS, DISHES),
        "How many people chose {x}?|How many votes did {x} get?|How many people like {x} best?",
        "What is the most popular choice?|What do most people like?|What got the most votes?",
        "What is the least popular choice?|What do the fewest people like?|What got the fewest votes?",
        "Is {a} more popular than {b}?|Did {a} get more votes than {b}?",
        high=60,
    ),
    Topic(
        "Sold today|Items sold|Fruit stand|Shop sales|Stock",
        (FRUIT, tuple(f"{name}s" for name in GOODS)),
        "How many {x} were there?|How many {x} does the chart show?|What is the number of {x}?",
        "What was there most of?|Which was the most common?|What is number one?",
        "What was there least of?|Which was the rarest?",
        "Were there more {a} than {b}?",
        high=400,
    ),
    Topic(
        "Population (thousands)|People|Population",
        PLACES,
        "How many people live in {x}?|What is the population of {x}?",
        "Where do the most people live?|Which place is the largest?|Which has the most people?",
        "Where do the fewest people live?|Which place is the smallest?|Which has the fewest people?",
        "Do more people live in {a} than in {b}?|Is {a} larger than {b}?",
        high=9000,
    ),
    Topic(
        "Snow (cm)|Hours of sun|Rainy days",
        PLACES,
        "How much is it in {x}?|What is the value for {x}?|How many are there in {x}?",
        "Where is it most?|Which place has the most?",
        "Where is it least?|Which place has the least?",
        "Is it more in {a} than in {b}?",
        high=200,
    ),
    Topic(
        "Salaries|Average pay|Wages",
        (tuple(f"{job}s" for job in JOBS if job != "Chef"),),
        "How much do {x} earn?|What are {x} paid?|How much money do {x} make?",
        "Who earns the most?|Who is paid best?|Which job pays best?",
        "Who earns the least?|Who is paid worst?|Which job pays least?",
        "Do {a} earn more than {b}?",
        unit="${:,}",
        low=1000,
        high=9000,
    ),
)
PIE_TOPICS = (
    Topic(
        "Household budget|Where the money goes|Spending|Our budget|Costs",
        (SPENDING,),
        "What share goes to {x}?|How much of the money is spent on {x}?|What percentage is spent on {x}?",
        "What is most money spent on?|What takes the largest share?|What costs the most?",
        "What is least money spent on?|What takes the smallest share?|What costs the least?",
        "Is more spent on {a} than on {b}?",
    ),
    Topic(
        "How we get to work|Way to school|Traffic|Means of travel",
        (VEHICLES,),
        "What percentage goes by {x}?|How many percent take the {x}?|What share uses the {x}?",
        "How do most people travel?|What do most people take?|What is used most?",
        "How do the fewest people travel?|What do the fewest people take?|What is used least?",
        "Do more people go by {a} than by {b}?",
    ),
    Topic(
        "Energy mix|Where our power comes from|Power sources|Electricity",
        (ENERGY,),
        "What share comes from {x}?|How much of the power comes from {x}?|What percentage is {x}?",
        "Where does most of the power come from?|What is the largest source?|What gives the most power?",
        "What is the smallest source?|What gives the least power?",
        "Does more come from {a} than from {b}?",
    ),
    Topic(
        "Favorite {things}|Survey|What people like best|Class vote",
        (FRUIT, ANIMALS, COLORS, SPORTS, SUBJECTS),
        "What percentage likes {x} best?|How many percent chose {x}?|What share voted for {x}?",
        "What do most people like?|What is the most popular?|What is the favorite?",
        "What do the fewest people like?|What is the least popular?",
        "Is {a} more popular than {b}?|Did more people choose {a} than {b}?",
    ),
    Topic(
        "Votes|Election|Who should be captain|Result of the vote",
        (FIRST,),
        "What share of the votes did {x} get?|How many percent voted for {x}?|What was {x}'s result?",
        "Who won?|Who got the most votes?|Who came first?",
        "Who got the fewest votes?|Who came last?",
        "Did {a} get more votes than {b}?|Did {a} beat {b}?",
    ),
    Topic(
        "Visitors by country|Where our guests come from|Exports",
        (COUNTRIES,),
        "What share comes from {x}?|How many percent come from {x}?|How much is {x}'s share?",
        "Where do most come from?|Which country has the largest share?",
        "Where do the fewest come from?|Which country has the smallest share?",
        "Do more come from {a} than from {b}?",
    ),
)
"""Topics of pies."""
THINGS = {
    FRUIT: "fruit",
    ANIMALS: "animals",
    COLORS: "colors",
    SPORTS: "sports",
    SUBJECTS: "subjects",
    DISHES: "dishes",
}


def period_of(labels: list[str]) -> str:
    """What labels that are times are: years, months, days or quarters."""
    first = labels[0]
    return "year" if first in YEARS else "day" if first in DAY_LABELS else "quarter" if first[0] == "Q" else "month"
