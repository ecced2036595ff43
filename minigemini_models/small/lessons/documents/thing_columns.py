"""What tables tell about goods, books and animals."""

from .document_words import COLORS, COUNTRIES, FIRST, FOODS, LAST
from .table_columns import Column, dollars, one_of, whole

PRODUCT_COLUMNS = (
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
        "Color", one_of(*COLORS), "What color is {x}?|Which color does {x} have?", "What is {w}?|Which item is {w}?"
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
)
BOOK_COLUMNS = (
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
)
ANIMAL_COLUMNS = (
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
)
