"""What tables tell about places, their weather and their days."""

from .document_words import COUNTRIES, DISHES, FIRST, LAST, WEATHER
from .table_columns import Column, clock, one_of, whole

CITY_COLUMNS = (
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
)
MOUNTAIN_COLUMNS = (
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
)
WEATHER_COLUMNS = (
    Column(
        "Temperature|Temp.|High",
        lambda rng: f"{rng.integers(1, 36)}°C",
        "How warm is it {x}?|What is the temperature {x}?|How many degrees is it {x}?",
        "",
        "{where} is it warmest?|{where} is the temperature highest?",
        "{where} is it coldest?|{where} is the temperature lowest?",
    ),
    Column(
        "Weather|Sky", one_of(*WEATHER), "What is the weather like {x}?|How is the weather {x}?", "{where} is it {w}?"
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
DAY_COLUMNS = (
    *WEATHER_COLUMNS,
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
)
