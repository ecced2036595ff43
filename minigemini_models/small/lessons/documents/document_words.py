"""Words of documents: names, places, products, shops and phrases."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ....scenes.colors import pick

T = TypeVar("T")


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


def options(text: str) -> tuple[str, ...]:
    """Phrases that are separated by "|"."""
    return tuple(text.split("|"))


def pick_some(rng: np.random.Generator, choices: Sequence[T], count: int) -> list[T]:
    """Distinct choices in random order."""
    return [choices[index] for index in rng.permutation(len(choices))[:count]]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


FIRST = words(
    "Anna Ben Carla David Emma Felix Grace Hugo Ivy Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tina "
    "Victor Wendy Yusuf "
    "Zoe Amir Bella Chen Diego Elena Fatima George Hana Igor Julia Kofi Lena Marco Nina Omar Priya Quinn Ravi Sara Tom "
    "Uma Vera Will Ximena Yara Aisha Bruno Clara Dmitri Esther Frank Gloria Henry Ines Jonas Karim Laura Mateo Nora "
    "Oscar Petra Raj Sofia Theo Ursula Wei Alice Bob Ella Liam Mia Lucas Ruth Simon Joan Martin Helen Peter"
)
LAST = words(
    "Adams Berg Carter Diaz Evans Fischer Garcia Hill Ito Jensen Keller Lopez Meyer Novak Ortiz Park Quist Rossi Silva "
    "Turner Ueda Vega Walsh Xu Young Zhang Abbott Baker Cohen Dubois Eriksen Ford Gupta Hughes Ivanov Jones Khan Lund "
    "Moreau Nielsen Okafor Patel Reed Schmidt Tanaka Usman Vogel Weber Yilmaz Zimmer Brown Clark Davis "
    "Green Harris King "
    "Lee Miller Nash Owens Price Ross Smith Taylor White Wright Wood Stone Rivera Popov"
)
CITIES = words(
    "Oslo Paris Rome Lima Berlin Madrid Vienna Prague Dublin Athens Cairo Delhi Tokyo Seoul Boston Denver Dallas Miami "
    "Leeds Bristol Cardiff Glasgow York Bath Oxford Hull Bergen Malmo Turku Riga Vilnius Warsaw Krakow Zagreb Lisbon "
    "Porto Seville Lyon Nice Turin Milan Naples Geneva Basel Munich Hamburg Cologne Leipzig Bremen "
    "Utrecht Ghent Austin "
    "Seattle Portland Phoenix Chicago Toronto Ottawa Quebec Bogota Quito Sydney Perth Hobart Auckland Nairobi Accra "
    "Lagos Tunis Rabat Manila Hanoi Jakarta Kyoto Osaka Busan Mumbai Chennai"
)
STREETS = words(
    "Main Oak Elm Maple Park Church Mill Station Bridge Market King Queen High Garden River Lake Hill Forest School "
    "Harbor Castle Abbey Cedar Pine Birch Rose Victoria Albert George North South West East Green Spring Orchard"
)
STREET_KINDS = ("Street", "Road", "Avenue", "Lane", "Square", "Drive", "Way", "Court", "St", "Ave")
PRODUCTS = options(
    "Whole Milk|White Bread|Brown Eggs|Olive Oil|Orange Juice|Green Tea|Black Coffee|Butter|Cheddar|Yogurt|Honey|Rice|"
    "Pasta|Tomato Soup|Potatoes|Carrots|Onions|Apples|Bananas|Pears|Grapes|Lemons|Strawberries|Spinach|Mushrooms|"
    "Chicken Breast|Salmon|Tuna|Ham|Bacon|Cookies|Chocolate|Crackers|Peanuts|Almonds|Oatmeal|Cereal|Flour|Sugar|Salt|"
    "Pepper|Soap|Shampoo|Toothpaste|Paper Towels|Batteries|Light Bulb|Notebook|Pencil|Candle|Umbrella|Socks|Gloves|"
    "Sparkling Water|Lemonade|Apple Cider|Ketchup|Mustard|Pickles|Garlic|Ginger|Cinnamon|Vanilla|Ice Cream|Frozen Peas|"
    "Dog Food|Cat Litter|Sponge|Detergent|Bleach|Tape|Glue|Hammer|Nails|Screws|Paint|Brush|Rope|Lamp|Vase|Pillow|"
    "Blanket|Towel|Mug|Plate|Fork|Spoon|Kettle|Toaster|Basil|Parsley|Mint|Sunscreen|Hand Cream|Magazine|Postcard|Stamps"
)
DISHES = options(
    "Tomato Soup|Onion Soup|Caesar Salad|Greek Salad|Garlic Bread|Bruschetta|Margherita Pizza|Pepperoni Pizza|Lasagna|"
    "Spaghetti Carbonara|Mushroom Risotto|Grilled Salmon|Fish and Chips|Roast Chicken|Beef Burger|Veggie Burger|Tacos|"
    "Burrito|Pad Thai|Green Curry|Fried Rice|Ramen|Sushi Plate|Lamb Kebab|Falafel Wrap|Pancakes|Omelette|French Toast|"
    "Apple Pie|Cheesecake|Chocolate Cake|Ice Cream|Fruit Salad|Espresso|Cappuccino|Latte|Hot Chocolate|Green Tea|"
    "Lemonade|Orange Juice|House Wine|Draft Beer|Mineral Water|Club Sandwich|Grilled Cheese|Steak|Mashed Potatoes|"
    "Rice Pudding|Tiramisu|Scones|Croissant|Bagel|Muffin|Smoothie|Iced Tea|Quiche|Goulash|Paella|Dumplings|Spring Rolls"
)
SHOPS = options(
    "Bakery|Pharmacy|Bookshop|Florist|Butcher|Hardware|Barber|Toy Store|Coffee House|Pizzeria|Diner|Grill|Tea Room|"
    "Market|Grocery|Deli|Shoe Repair|Tailor|Laundry|Optician|Jewelers|Antiques|Gallery|Music Shop|Pet Shop|Bike Shop|"
    "Garage|Hotel|Inn|Bistro|Cafe|Cantina|Brewery|Fish Bar|Ice Cream Parlor|Stationers|Electronics|"
    "Furniture|Garden Center"
)
ADJECTIVES = words(
    "Golden Blue Red Green Silver Old New Little Grand Royal Happy Sunny Lucky Wild Corner Central "
    "Village Harbor River "
    "Mountain Garden Star Moon Lion Eagle Fox Bear Swan Rose Oak Maple Pearl Copper Iron Crystal Velvet Northern Twin"
)
NOUNS = words(
    "Lion Eagle Fox Bear Swan Rose Oak Anchor Crown Bell Lantern Wheel Bridge Mill Tower Ship Kettle Spoon Feather "
    "Hearth Barrel Basket Candle Clover Compass Dolphin Harp Ivy Key Leaf Owl Otter Peacock Robin "
    "Sparrow Thistle Violet"
)
SIGN_LINES = options(
    "STOP|YIELD|EXIT|NO ENTRY|ONE WAY|NO PARKING|DO NOT ENTER|WET FLOOR|CAUTION|DANGER|KEEP OUT|PUSH|PULL|OPEN|CLOSED|"
    "SORRY WE ARE CLOSED|COME IN|STAFF ONLY|PRIVATE PROPERTY|NO SMOKING|NO DOGS|SPEED LIMIT|SCHOOL ZONE|"
    "ROAD WORK AHEAD|"
    "DETOUR|BUS STOP|TAXI|PARKING|TOILETS|ELEVATOR|STAIRS|EMERGENCY EXIT|FIRST AID|FIRE EXTINGUISHER|HIGH VOLTAGE|"
    "BEWARE OF THE DOG|FOR SALE|FOR RENT|TO LET|SOLD OUT|QUIET PLEASE|PLEASE WAIT HERE|CASH ONLY|MIND THE STEP|"
    "RECEPTION|WAITING ROOM|MEETING ROOM|PLATFORM|TICKETS|INFORMATION|LOST AND FOUND|NO SWIMMING|DEEP WATER|SLOW|"
    "CHILDREN PLAYING|BICYCLES ONLY|LOADING ZONE|GARAGE SALE|YARD SALE|FRESH EGGS|FREE WIFI|HELP WANTED|BACK SOON|"
    "DELIVERIES|EMPLOYEES MUST WASH HANDS|DO NOT TOUCH|OUT OF ORDER|UNDER REPAIR|WELCOME|GOOD MORNING|HAPPY BIRTHDAY|"
    "THANK YOU|PLEASE KNOCK|RING THE BELL|SHOES OFF|NO FOOD OR DRINKS|LIFT|WAY OUT|GIVE WAY|DEAD END|HOSPITAL|LIBRARY|"
    "POST OFFICE|TRAIN STATION|CITY CENTER|AIRPORT|BEACH|MUSEUM|VISITOR PARKING|CAR WASH|SPEED BUMP|SHARP CURVE"
)
MONTHS = words("January February March April May June July August September October November December")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
JOBS = words(
    "Doctor Nurse Teacher Driver Chef Pilot Painter Farmer Baker Lawyer Editor Clerk Waiter Singer Dancer Judge Tailor "
    "Engineer Designer Manager Plumber Gardener Librarian Mechanic Carpenter Writer Dentist Cashier Guard Translator"
)
SUBJECTS = words(
    "Math History Biology Chemistry Physics Art Music Geography English Spanish French Latin Drama Sports Computing "
    "Economics Philosophy Cooking"
)
SPORTS = words("Tennis Soccer Hockey Rugby Golf Rowing Boxing Judo Chess Cycling Skiing Sailing Running Swimming")
ANIMALS = words("Cats Dogs Horses Cows Sheep Goats Ducks Geese Bees Rabbits Foxes Owls Deer Bears Wolves Frogs")
COUNTRIES = words(
    "France Spain Italy Germany Norway Sweden Finland Poland Greece Turkey Egypt Kenya Ghana India China Japan Brazil "
    "Chile Peru Mexico Canada Austria Portugal Denmark Ireland Iceland Hungary Romania Morocco Vietnam"
)
COLORS = words("Red Blue Green Yellow Orange Purple Pink Brown Black White Gray")
GOODS = words(
    "Kettle Lamp Vase Pillow Blanket Towel Mug Plate Spoon Toaster Hammer Rope Candle Umbrella Notebook Pencil Basket "
    "Chair Table Desk Stool Clock Mirror Carpet Bucket Broom Ladder Drill Tent Backpack Helmet Scarf Jacket Shirt Hat "
    "Belt Wallet Camera Radio Printer Keyboard Speaker Puzzle Kite Drum Guitar Flute Globe Map Calendar"
)
"""Things that are sold singly; their plural ends in s."""
BEASTS = words(
    "Horse Fox Rabbit Bear Lion Tiger Elephant Zebra Giraffe Otter Beaver Badger Camel Donkey Goat Cow Pig Duck Owl "
    "Eagle Penguin Seal Turtle Lizard Monkey Gorilla Kangaroo Koala Leopard Hedgehog Squirrel Raccoon Rhino Hippo"
)
"""Animals; their plural ends in s."""
PETS = words("Cat Dog Rabbit Hamster Parrot Turtle Goldfish Snake Pony Canary Lizard Mouse Ferret Frog Duck Goat")
FOODS = words("Grass Fish Insects Leaves Nuts Fruit Meat Seeds Worms Berries Roots Eggs Hay Carrots Honey")
WEATHER = words("Sunny Rainy Cloudy Windy Foggy Snowy Stormy Clear Icy Dry")
STOPS = options(
    "Market|Harbor|Church|School|Station|Museum|Hospital|Library|Town Hall|Park|Bridge|Airport|University|Beach|Mill|"
    "Castle|Zoo|Stadium|Theater|Post Office|Cemetery|Lake|Factory|Hotel|Swimming Pool|Campsite|Old Tower|Fire Station"
)
COMPANIES = options(
    "Ltd|Inc.|Group|Partners|Consulting|Design|Construction|Travel|Insurance|Bank|Media|Foods|Motors|Software|Energy|"
    "Logistics|Clinic|Law|Studio|Architects|Security|Systems|Press|Textiles"
)
TOPICS = options(
    "tomatoes|bread|bees|bicycles|clocks|lighthouses|honey|wild flowers|old maps|steam trains|birds|stars|rivers|"
    "mushrooms|wooden boats|coffee|tea|chess|pottery|glass|volcanoes|whales|bridges|castles|gardens|cheese|kites|"
    "cameras|shoes|puzzles|robots|solar power|city parks|night buses|apple trees|cats|knitting|guitars|fossils|ice"
)
ITEMS_TO_DO = options(
    "water the plants|buy milk|call the plumber|pay the rent|book the tickets|clean the kitchen|return the books|"
    "feed the cat|fix the bike|write to the landlord|pack the bags|order the cake|charge the camera|wash the car|"
    "send the forms|check the boiler|pick up the keys|sort the mail|paint the fence|bake the bread"
)
SENTENCES = options(
    "The {job} said that {topic} are easier to find in {city} than before.|"
    "Many people like {topic} because they are quiet.|"
    "In {city} you can see {topic} on almost every corner.|Every {day} we meet at {time} to talk about {topic}.|"
    "Nobody in {city} had expected so many visitors.|{first} has worked as a {job} for ten years.|"
    "It takes patience to learn about {topic}, but it is worth it.|"
    "The first shop for {topic} opened in {city} last {day}.|"
    "Please remember to bring warm clothes and something to drink.|You will find more about {topic} on our page.|"
    "{first} and {other} have written a small book on {topic}.|We will be closed next {day}."
)


def person(rng: np.random.Generator) -> str:
    """A first and a last name."""
    return f"{pick(rng, FIRST)} {pick(rng, LAST)}"


def shop_name(rng: np.random.Generator) -> str:
    """The name of a shop, as on its sign."""
    forms = (
        lambda: f"{pick(rng, FIRST)}'s {pick(rng, SHOPS)}",
        lambda: f"The {pick(rng, ADJECTIVES)} {pick(rng, NOUNS)}",
        lambda: f"{pick(rng, ADJECTIVES)} {pick(rng, SHOPS)}",
        lambda: f"{pick(rng, LAST)} & {pick(rng, LAST)}",
        lambda: f"{pick(rng, CITIES)} {pick(rng, SHOPS)}",
        lambda: f"{pick(rng, NOUNS)} {pick(rng, SHOPS)}",
    )
    name = pick(rng, forms)()
    return name.upper() if chance(rng, 0.3) else name


def address(rng: np.random.Generator) -> str:
    """A street and a number."""
    return f"{rng.integers(1, 300)} {pick(rng, STREETS)} {pick(rng, STREET_KINDS)}"


def phone(rng: np.random.Generator) -> str:
    """A phone number that nobody has."""
    middle, last = int(rng.integers(100, 999)), int(rng.integers(1000, 9999))
    forms = (f"555-{last}", f"({middle}) 555-{last}", f"0{middle} 555 {last}", f"+44 {middle} 555 {last}")
    return pick(rng, forms)


def date(rng: np.random.Generator) -> str:
    """A date in one of several notations."""
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(12)), int(rng.integers(1990, 2030))
    forms = (
        f"{day} {MONTHS[month]} {year}",
        f"{MONTHS[month]} {day}, {year}",
        f"{month + 1:02}/{day:02}/{year}",
        f"{day:02}.{month + 1:02}.{year}",
        f"{year}-{month + 1:02}-{day:02}",
        f"{day} {MONTHS[month][:3]} {year}",
        f"{MONTHS[month][:3]} {day}",
    )
    return pick(rng, forms)


def time_of_day(rng: np.random.Generator) -> str:
    """A time in one of several notations."""
    hour, minute = int(rng.integers(24)), int(rng.integers(12)) * 5
    forms = (
        f"{hour:02}:{minute:02}",
        f"{hour % 12 + 1} {'am' if hour < 12 else 'pm'}",
        f"{hour % 12 + 1}:{minute:02} pm",
    )
    return pick(rng, forms)


def money(cents: int, style: int) -> str:
    """An amount in one of six currency styles; one document keeps to one style."""
    amount = f"{cents // 100}.{cents % 100:02}"
    return (f"${amount}", f"£{amount}", f"€{amount}", f"{amount} EUR", amount, amount.replace(".", ",") + " €")[style]


def site(rng: np.random.Generator) -> str:
    """A domain name."""
    return (
        f"{pick(rng, ADJECTIVES)}{pick(rng, NOUNS)}.{pick(rng, ('com', 'org', 'net', 'co.uk', 'de', 'info'))}".lower()
    )


def email(rng: np.random.Generator) -> str:
    """An e-mail address."""
    return f"{pick(rng, (*FIRST, 'Info', 'Hello', 'Office', 'Contact', 'Mail'))}@{site(rng)}".lower()


def title(rng: np.random.Generator) -> str:
    """The title of a page, poster or book."""
    topic, other = pick_some(rng, TOPICS, 2)
    forms = (
        f"A short history of {topic}",
        f"{pick(rng, ('Five', 'Seven', 'Ten', 'Twelve'))} things to know about {topic}",
        f"How to choose {topic}",
        f"The {pick(rng, ADJECTIVES)} {pick(rng, NOUNS)}",
        f"{topic} and {other}",
        f"All about {topic}",
        f"Why we love {topic}",
        f"The secret life of {topic}",
        f"{pick(rng, CITIES)} in {pick(rng, ('spring', 'summer', 'autumn', 'winter'))}",
        f"My year with {topic}",
        f"{topic} for beginners",
    )
    name = pick(rng, forms)
    return name.title() if chance(rng, 0.4) else name[0].upper() + name[1:]


def sentence(rng: np.random.Generator, topic: str = "") -> str:
    first, other = pick_some(rng, FIRST, 2)
    return pick(rng, SENTENCES).format(
        job=pick(rng, JOBS).lower(),
        topic=topic or pick(rng, TOPICS),
        city=pick(rng, CITIES),
        day=pick(rng, DAYS),
        time=time_of_day(rng),
        first=first,
        other=other,
    )
