"""Words of requests for pictures: what is drawn, how it looks, where it is, and what happens to it.

`minigemini_models/evaluation/drawing_captions.jsonl` is measured on other subjects: a test makes sure that
none of them is listed here.
"""

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.split()) for word in text.split("|"))


ANIMALS = _words(
    "cat|dog|fox|bear|rabbit|hedgehog|squirrel|owl|parrot|penguin|elephant|giraffe|lion|tiger|zebra|monkey|gorilla|"
    "kangaroo|koala|panda|wolf|deer|moose|horse|donkey|cow|pig|sheep|goat|chicken|rooster|duck|swan|eagle|raven|pigeon|"
    "flamingo|peacock|toucan|ostrich|turtle|frog|lizard|snake|crocodile|shark|whale|dolphin|octopus|crab|lobster|"
    "jellyfish|goldfish|seahorse|snail|butterfly|bee|ladybug|spider|ant|beetle|dragonfly|hamster|guinea pig|otter|"
    "beaver|raccoon|badger|skunk|sloth|camel|llama|rhinoceros|hippopotamus|leopard|cheetah|kitten|puppy|pony|"
    "polar bear|red panda|chameleon|hummingbird|woodpecker|bat|mole|dragon|unicorn|dinosaur|phoenix|griffin|yeti"
)
PEOPLE = _words(
    "doctor|nurse|teacher|farmer|baker|cook|waiter|gardener|painter|sculptor|writer|poet|dancer|singer|drummer|"
    "violinist|"
    "pianist|guitarist|clown|juggler|acrobat|magician|wizard|witch|knight|king|queen|prince|princess|pirate|sailor|"
    "captain|pilot|astronaut|scientist|chemist|engineer|mechanic|carpenter|blacksmith|tailor|shoemaker|butcher|"
    "librarian|judge|lawyer|police officer|firefighter|soldier|explorer|mountaineer|hiker|swimmer|surfer|skier|skater|"
    "cyclist|runner|boxer|football player|tennis player|chess player|photographer|reporter|actor|student|grandmother|"
    "grandfather|old man|young woman|little girl|little boy|baby|robot|ghost|elf|fairy|mermaid|giant|troll|vampire|"
    "ninja|"
    "samurai|cowboy|viking|monk|shepherd|beekeeper|postman|miner|diver|detective|spy|thief|superhero|alien"
)
THINGS = _words(
    "car|bus|truck|train|tram|bicycle|motorcycle|tractor|ambulance|fire engine|sailboat|canoe|submarine|steamship|"
    "airplane|helicopter|hot-air balloon|rocket|spaceship|house|cottage|castle|tower|lighthouse|windmill|barn|bridge|"
    "church|tent|tree house|skyscraper|fountain|statue|clock|watch|lamp|candle|lantern|chair|armchair|sofa|table|bed|"
    "bookshelf|piano|guitar|violin|trumpet|drum|camera|telescope|telephone|typewriter|radio|globe|compass|hourglass|"
    "umbrella|suitcase|backpack|hat|boot|teapot|coffee cup|bottle|vase|bowl of fruit|birthday cake|pizza|sandwich|"
    "hamburger|ice cream cone|apple|pineapple|watermelon|pumpkin|mushroom|sunflower|rose|tulip|cactus|oak tree|"
    "palm tree|"
    "teddy bear|doll|kite|snowman|scarecrow|mailbox|street lamp|key|sword|shield|crystal ball|treasure chest|book|"
    "carousel|Ferris wheel|swing|hammock|fireplace|well|market stall|toy train|rocking horse|music box"
)
LANDSCAPES = _words(
    "mountain lake|forest path|desert with dunes|tropical island|quiet village|harbor|city skyline|waterfall|"
    "wheat field|"
    "vineyard|rocky coast|volcano|frozen river|canyon|meadow full of flowers|swamp|jungle|old town square|"
    "train station|"
    "country road|Japanese garden|bamboo grove|glacier|savanna|coral reef|cave with crystals|fishing village|"
    "narrow alley|"
    "floating city|underwater city|ruined temple|space station|orchard|snowy mountain|lavender field|rice terrace"
)
QUALITIES = _words(
    "rich|poor|happy|sad|angry|funny|brave|shy|lazy|tired|sleepy|hungry|proud|elegant|clumsy|friendly|scary|mysterious|"
    "wise|curious|strong|tiny|huge|fat|thin|old|young|fluffy|dirty|clean|noble|grumpy|cheerful|lonely|busy|fancy"
)
"""Of animals and people; each has a comparative in `COMPARATIVES` or takes "more"."""
THING_QUALITIES = _words(
    "old|new|tiny|huge|broken|shiny|rusty|wooden|golden|colorful|dusty|elegant|fancy|simple|magical|modern|"
    "strange|beautiful|ugly|dirty|clean|bright|dark|antique|plain|cozy"
)
LANDSCAPE_QUALITIES = _words(
    "peaceful|wild|lonely|beautiful|colorful|dark|bright|mysterious|gloomy|quiet|magical|dreamy|misty|dramatic"
)
COMPARATIVES = {
    "rich": "richer", "poor": "poorer", "happy": "happier", "sad": "sadder", "angry": "angrier", "funny": "funnier",
    "brave": "braver", "shy": "shyer", "lazy": "lazier", "sleepy": "sleepier", "hungry": "hungrier",
    "clumsy": "clumsier", "friendly": "friendlier", "scary": "scarier", "wise": "wiser", "strong": "stronger",
    "tiny": "tinier", "huge": "bigger", "fat": "fatter", "thin": "thinner", "old": "older", "young": "younger",
    "fluffy": "fluffier", "dirty": "dirtier", "clean": "cleaner", "noble": "nobler", "grumpy": "grumpier",
    "lonely": "lonelier", "busy": "busier", "fancy": "fancier", "new": "newer", "shiny": "shinier", "rusty": "rustier",
    "dusty": "dustier", "simple": "simpler", "strange": "stranger", "ugly": "uglier", "bright": "brighter",
    "dark": "darker", "plain": "plainer", "cozy": "cozier", "wild": "wilder", "gloomy": "gloomier", "quiet": "quieter",
    "dreamy": "dreamier", "misty": "mistier",
}  # fmt: skip
NO_DEGREES = frozenset(_words("wooden|golden|broken|antique|magical|modern"))
"""Qualities that have no more and less."""
OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in _words(
        "rich/poor|happy/sad|cheerful/sad|happy/angry|happy/grumpy|brave/shy|lazy/busy|tired/busy|sleepy/busy|"
        "tiny/huge|fat/thin|old/young|old/new|old/modern|new/antique|dirty/clean|friendly/scary|friendly/angry|"
        "strong/weak|fancy/simple|fancy/plain|beautiful/ugly|bright/dark|quiet/wild|peaceful/wild|elegant/clumsy|"
        "rusty/shiny|dusty/shiny|broken/new|cheerful/lonely|cheerful/grumpy|lonely/happy|bright/gloomy|"
        "colorful/gloomy|colorful/plain|peaceful/dramatic"
    )
)
"""Pairs that a picture does not show together: the later one replaces the earlier."""
COLORS = _words("red|orange|yellow|green|blue|purple|pink|brown|black|white|gray|silver|golden|turquoise")
CLOTHES = _words(
    "a red hat|a top hat|a straw hat|a crown|a helmet|a blue scarf|a striped scarf|a raincoat|a velvet coat|"
    "a leather jacket|a white apron|a long cape|a bow tie|a yellow sweater|round glasses|sunglasses|rubber boots|"
    "red boots|a gold necklace|a flower behind the ear|a backpack|a witch hat|a chef's hat|a party hat|an eye patch|"
    "a kimono|a space suit|a suit of armor|a wool cap|green gloves|a silk dress|a tuxedo"
)
OBJECTS = _words(
    "a treasure chest|a lantern|a map|a red balloon|a basket of apples|a cup of tea|an umbrella|a big cake|"
    "a fishing rod|"
    "a book|a guitar|a violin|a bunch of flowers|a sword|a magic wand|a telescope|a suitcase|a sack of gold|a birdcage|"
    "a candle|a snow globe|a small dog|a black cat|a parrot|a pile of books|a letter|a key|a crystal ball|a bicycle|"
    "a kite|a wooden boat|a campfire|a rainbow|a full moon|a shooting star|a clock|a mirror|a painting|a bowl of soup|"
    "a bottle of milk|a loaf of bread|a chess board|a camera|a drum|a teddy bear|a ladder|a bucket|a broom|a flag|"
    "fireworks|butterflies|soap bubbles|falling leaves|a stack of coins|a bench|a picnic basket|a globe|two candles"
)
SCENERY = _words(
    "a rainbow|a full moon|a shooting star|fireworks|falling leaves|a flock of birds|a hot-air balloon|a small boat|"
    "a wooden bench|a castle in the distance|a lonely tree|a stone bridge|tall grass|a white horse|dark clouds|"
    "a church tower|a row of lanterns|a winding path|a fence|a windmill|stars|wild flowers|a cabin|mountains behind it"
)
ACTIONS = _words(
    "reading a book|playing the guitar|playing chess|drinking tea|eating soup|eating cake|riding a bicycle|"
    "riding a horse|dancing|singing|sleeping|laughing|crying|running|jumping|swimming|fishing|cooking|"
    "painting a picture|"
    "writing a letter|counting coins|baking bread|watering flowers|flying a kite|looking through a telescope|skating|"
    "climbing a ladder|carrying a suitcase|driving a car|rowing a boat|juggling|taking a photo|watching the stars|"
    "building a sandcastle|playing the piano|digging a hole|waving|sitting on a bench|lying in a hammock|sneezing"
)
PLACES = _words(
    "in a forest|on a beach|in a palace|in a kitchen|in a library|in a garden|on a mountain|in the desert|on the moon|"
    "under water|in a castle|in a small village|in Paris|in Venice|in Tokyo|in New York|on a ship|on a roof|in a train|"
    "in a cave|in a market|in a school|in a museum|on a bridge|by a lake|by a river|in a meadow|on a farm|in a jungle|"
    "at the North Pole|in space|on Mars|in a theater|on a stage|in a bakery|in a workshop|in a cellar|in an attic|"
    "in a park|on a street|in a cafe|on an island|in a bathtub|in front of a fireplace|in a laboratory|in a stadium|"
    "on a cloud|at a train station|in a toy shop|in a church|on a throne"
)
TIMES = _words(
    "at night|at sunset|at sunrise|at noon|in the morning|in the evening|at dusk|at dawn|at midnight|by moonlight"
)
SEASONS = _words("in winter|in spring|in summer|in autumn")
WEATHERS = _words(
    "in the rain|in the snow|in thick fog|in a storm|under a blue sky|under a starry sky|in the wind|in bright sunshine"
)
STYLES = _words(
    "oil painting|watercolor|pencil sketch|cartoon|comic book drawing|pixel art|photograph|black and white photograph|"
    "children's book illustration|charcoal drawing|ink drawing|anime drawing|3D render|paper cut-out|mosaic|"
    "stained glass|"
    "woodcut|pop art|impressionist painting|cubist painting|art deco poster|vintage postcard|clay figure|"
    "pastel drawing|"
    "low poly art|line art|graffiti|fantasy art|embroidery|chalk drawing"
)
GOODS = {
    "bread": "bread", "flower": "flowers", "book": "books", "shoe": "shoes", "hat": "hats", "toy": "toys",
    "cake": "cakes", "tea": "tea", "watch": "watches", "lamp": "lamps", "honey": "honey", "fish": "fish",
    "fruit": "fruit", "candle": "candles", "carpet": "carpets", "violin": "violins", "ice cream": "ice cream",
    "umbrella": "umbrellas", "balloon": "balloons", "spice": "spices", "bicycle": "bicycles", "clock": "clocks",
}  # fmt: skip
"""Kinds of shops, and what they sell."""
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


@dataclass(frozen=True)
class Story:
    """Something that happens to an animal or a person between two pictures.

    Attributes:
        tellings: what the user says, after a pronoun and its verb.
        quality: what the drawn one becomes.
        wearing: what it puts on.
        thing: what it has now.
        action: what it does now.
        place: where it goes.
        loses: whether it loses what it had.
    """

    tellings: tuple[str, ...]
    quality: str = ""
    wearing: str = ""
    thing: str = ""
    action: str = ""
    place: str = ""
    loses: bool = False


STORIES = (
    Story(("has lost everything", "has lost all the money", "is broke now"), "poor", thing="empty pockets", loses=True),
    Story(("has been robbed", "was robbed last night"), "sad", thing="empty pockets", loses=True),
    Story(("had a burglar in the house", "found the house empty"), "shocked", thing="an open door", loses=True),
    Story(("has won the lottery", "has inherited a fortune"), "rich", thing="a pile of money"),
    Story(("has found a treasure", "dug up a treasure"), "happy", thing="a treasure chest full of gold"),
    Story(("has a birthday today", "turns a year older today"), "happy", "a party hat", "a birthday cake"),
    Story(("has been crowned", "was elected king"), "proud", "a golden crown", action="sitting on a throne"),
    Story(("has fallen in love",), "happy", thing="a red heart", action="smiling"),
    Story(("has caught a cold", "is ill today"), "sick", "a thick scarf", action="sneezing"),
    Story(("has grown old", "is ninety now"), "old", "glasses", "a walking stick"),
    Story(("has not slept for days", "worked all night"), "tired", action="yawning"),
    Story(("has not eaten for a week", "skipped breakfast"), "hungry", thing="an empty plate"),
    Story(("has won the race", "came first"), "proud", "a gold medal", "a trophy"),
    Story(("has lost the way", "got lost"), "worried", thing="a torn map", place="in a dark forest"),
    Story(("has gone to the beach", "is on vacation"), "relaxed", "sunglasses", action="lying in the sun",
    place="on a beach"),
    Story(("flew to the moon", "has joined a space mission"), "brave", "a space suit", place="on the moon"),
    Story(("fell into the mud",), "dirty", action="covered in mud"),
    Story(("has learned to cook", "works as a cook now"), "busy", "a chef's hat", "a big pot", "cooking",
    "in a kitchen"),
    Story(("has become a doctor", "studied medicine"), "wise", "a white coat", "a stethoscope", place="in a hospital"),
    Story(("joined a circus",), "funny", "a colorful costume", action="juggling", place="in a circus tent"),
    Story(("is at a wedding", "gets married today"), "elegant", "a festive suit", "a bunch of flowers"),
    Story(("saw a ghost", "has had a bad dream"), "frightened", action="trembling"),
    Story(("was caught in the rain", "forgot the umbrella"), "wet", action="dripping with water"),
    Story(("broke a leg", "had an accident"), "sad", "a bandage", "crutches"),
    Story(("started a band", "is a rock star now"), "cool", "a leather jacket", "an electric guitar",
    place="on a stage"),
)  # fmt: skip
PHOTOGRAPHED_ANIMALS = {
    1: "goldfish", 9: "ostrich", 22: "bald eagle", 24: "great grey owl", 84: "peacock", 94: "hummingbird", 96: "toucan",
    99: "goose", 105: "koala", 107: "jellyfish", 113: "snail", 130: "flamingo", 145: "king penguin",
    148: "killer whale",
    150: "sea lion", 207: "golden retriever", 208: "labrador", 235: "German shepherd", 245: "French bulldog",
    254: "pug", 259: "Pomeranian", 263: "corgi", 269: "wolf", 277: "red fox", 281: "tabby cat", 283: "Persian cat",
    284: "Siamese cat", 288: "leopard", 291: "lion", 292: "tiger", 293: "cheetah", 294: "brown bear", 296: "polar bear",
    301: "ladybug", 323: "monarch butterfly", 331: "hare", 333: "hamster", 335: "squirrel", 338: "guinea pig",
    340: "zebra", 344: "hippopotamus", 353: "gazelle", 354: "camel", 360: "otter", 361: "skunk", 362: "badger",
    365: "orangutan", 366: "gorilla", 367: "chimpanzee", 386: "elephant", 387: "red panda", 388: "panda",
}  # fmt: skip
PHOTOGRAPHED_THINGS = {
    404: "airliner", 407: "ambulance", 417: "hot-air balloon", 437: "lighthouse", 444: "tandem bicycle", 483: "castle",
    504: "coffee mug", 546: "electric guitar", 555: "fire engine", 579: "grand piano", 671: "mountain bike",
    779: "school bus", 780: "sailing ship", 812: "space shuttle", 817: "sports car", 820: "steam locomotive",
    849: "teapot", 850: "teddy bear", 866: "tractor", 879: "umbrella", 889: "violin", 933: "cheeseburger",
    949: "strawberry", 954: "banana", 963: "pizza", 967: "espresso", 980: "volcano",
}  # fmt: skip
"""ImageNet classes by their number, under plain names."""
