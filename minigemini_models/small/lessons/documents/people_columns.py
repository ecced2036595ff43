"""Columns of tables of people, with the questions that they answer."""

from ....scenes.colors import pick
from .document_words import CITIES, COLORS, COUNTRIES, DAYS, DISHES, JOBS, PETS, SPORTS
from .table_columns import Column, clock, one_of, whole

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
