"""What the rows of a table may be."""

from .document_words import ADJECTIVES, ANIMALS, BEASTS, CITIES, COLORS, DAYS, FIRST, GOODS, LAST, NOUNS, SUBJECTS
from .people_columns import CLASS_COLUMNS, PERSON_COLUMNS, TEAM_COLUMNS
from .place_columns import CITY_COLUMNS, DAY_COLUMNS, MOUNTAIN_COLUMNS, WEATHER_COLUMNS
from .table_columns import Subject
from .thing_columns import ANIMAL_COLUMNS, BOOK_COLUMNS, PRODUCT_COLUMNS

TABLE_SUBJECTS = (
    Subject("Name|Person|Member|Employee|Student|Guest|Player", tuple(FIRST), "{}", "people|names", PERSON_COLUMNS),
    Subject(
        "Name|Employee|Contact",
        tuple(f"{a} {b}" for a, b in zip(FIRST, LAST, strict=False)),
        "{}",
        "people|names",
        PERSON_COLUMNS,
    ),
    Subject("City|Town|Place", tuple(CITIES), "{}", "cities|places", CITY_COLUMNS),
    Subject("Product|Item|Article|Goods", tuple(GOODS), "the {}", "products|items", PRODUCT_COLUMNS),
    Subject(
        "Team|Club",
        tuple(f"{color} {animal}" for color in COLORS for animal in ANIMALS),
        "{}",
        "teams|clubs",
        TEAM_COLUMNS,
    ),
    Subject("Class|Course|Subject|Lesson", tuple(SUBJECTS), "{}", "classes|subjects", CLASS_COLUMNS),
    Subject("Day", tuple(DAYS), "on {}", "days", DAY_COLUMNS),
    Subject("City|Place|Region", tuple(CITIES), "in {}", "cities|places", WEATHER_COLUMNS),
    Subject("Animal|Species", tuple(BEASTS), "the {}", "animals", ANIMAL_COLUMNS),
    Subject(
        "Book|Title",
        tuple(f"The {a} {b}" for a in ADJECTIVES[:20] for b in NOUNS[:20]),
        "{}",
        "books|titles",
        BOOK_COLUMNS,
    ),
    Subject(
        "Mountain|Peak|Hill",
        tuple(f"Mount {name}" for name in (*NOUNS, *LAST)),
        "{}",
        "mountains|peaks",
        MOUNTAIN_COLUMNS,
    ),
)
