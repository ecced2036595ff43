"""Words that signs of the drawn world carry: everyday English, three to six letters."""

from zlib import crc32

_WORDS = """
act add age aid aim air all ant any ape arm art ash ask axe bad bag bat bay bed bee bet big bin bit bow box boy bus but buy
cab can cap car cat cow cry cup cut dad day den dew did die dig dog dot dry due ear eat egg end era eye fan far fat fee few
fig fin fit fix flu fly fog for fox fun fur gap gas gem get god got gum gun guy gym had ham has hat hay hen her hip hit hot
how hut ice ill ink inn its jam jar jaw jet job joy key kid kit lab lap law lay leg let lid lie lip log lot low mad man map
mat may mix mob mud mug net new nod not now nut oak odd off oil old one our out owl own pad pan pay pea pen pet pie pig pin
pit pot put rag ram ran rat raw red rib rid rim rob rod row rub rug run sad sat saw say sea see set shy sip sir sit six ski
sky sly son sow soy spa sum sun tab tag tan tap tax tea ten tie tin tip toe ton top toy try tub two use van vet war was wax
way web wet who why wig win wit yes yet you zip zoo
able acid aged also area army atom aunt away baby back bake ball band bank barn base bath bean bear beat been beef bell belt
bend best bike bill bird bite blue boat body bold bolt bomb bone book boot bowl brag bulb bull burn bush busy cafe cage cake
call calm came camp card care cart case cash cave cell chat chef chin chip city clay club coal coat code coin cold come cook
cool copy cord core cork corn cost crab crew crop crow cube cure dark data date dawn deal dear debt deck deep deer desk dial
dice diet dirt dish dive dock door dose dove down drag draw drum duck dull dust duty each earn east easy edge exit face fact
fair fall farm fast fear feed feel file fill film find fire firm fish five flag flat flow foam fold folk food foot fork form
four free frog from fuel full fund gain game gate gift girl give glad glow glue goal goat gold golf good grab gray grid grow
gulf hail hair half hall hand hard harm hawk head hear heat help herb hero hide high hill hint hold hole home hope horn host
hour huge hunt idea inch iron item jazz join joke jump jury just keen keep kept kick kind king kiss kite knee knot know lace
lake lamb lamp land lane last late lawn lazy leaf left lens life lift like lime line lion list live load loaf lock long look
loud love luck lung made mail main make many mark mask mast meal meat melt menu milk mill mind mine mint miss mist moon more
moth move much myth nail name navy neck nest news next nice nine node nose note oath oats okay once only open oral oven over
pack page paid pail pain pair palm park part pass past path peak pear pick pier pile pine pink pipe plan play plot plum poem
poet pole pond pony pool poor port post pull pump pure push quiz race rail rain rank rare rate read real rear rent rest rice
rich ride ring rise road rock role roof room root rope rose ruby rule rush safe sail salt same sand save seal seat seed self
sell send ship shoe shop show sick side sign silk sing sink site size skin slow snap snow soap sock soda sofa soft soil sold
song soon sort soup sour spot star stay stem step stir stop suit surf swan swim tail tale talk tall tank tape task team tent
term test text thin this tide tile time tiny toad told tone tool torn tour town trap tray tree trip true tube tuna tune turn
twin unit upon used vase vast verb very vest view vine visa vote wage wait wake walk wall want warm wash wave weak wear week
well west what when wide wife wild will wind wine wing wire wise wish wolf wood wool word work worm yard yarn year yoga zero zone
about above actor adult agent agree alarm album alert alien allow alone angel anger angle apple apron arena armor arrow aside
asset audio avoid award awake bacon badge baker basic beach beard beast begin below bench berry bingo birth black blade blank
blast blaze blend bless blind block blond blood bloom board bonus boost booth bored brain brake brand brass brave bread break
brick bride brief bring broad brook broom brown brush build bunch cabin cable camel canal candy canoe cargo carol carry catch
cause chain chair chalk charm chart chase cheap check cheek cheer chess chest chief child chili chime choir civil claim class
clean clear clerk click cliff climb clock close cloth cloud clown coach coast cocoa color comet coral couch count court cover
crane crash crazy cream creek crime crowd crown crust curve cycle daily dairy daisy dance delay depth diary diner dizzy donut
doubt dozen draft drain drama dream dress drill drink drive eagle early earth eight elbow empty enjoy enter equal event exact
extra fable faith false fancy feast fence ferry fever fiber field fifty fight final first flame flash fleet float flock flood
floor flour fluid flute focus force forty frame fresh front frost fruit funny ghost giant given glass globe glove grade grain
grand grant grape graph grass gravy great green greet group guard guess guest guide habit happy hasty heart heavy hello hobby
honey honor horse hotel hound house human humor ideal image index ivory jelly jewel joint jolly judge juice jumbo kayak knife
knock known label labor large laser laugh layer learn lemon level light lilac limit linen liver llama local logic loose lucky
lunar lunch magic major mango maple march marsh match mayor medal melon mercy merry metal meter model money month moral motor
mount mouse mouth movie music nerve night noble noise north novel nurse ocean offer olive onion opera orbit order organ otter
owner oxide paint panda panel paper party pasta patch pause peace peach pearl penny piano piece pilot pitch pizza place plain
plane plant plate plaza point polar porch pound power press price pride prime print prize proof proud pulse pupil puppy purse
queen quest quick quiet quilt quota radar radio rainy ranch range rapid raven reach ready realm relay reply rhyme rider ridge
right rinse river roast robin robot rocky rough round route royal rugby ruler rural salad salon salsa sandy sauce scale scarf
scene scent scoop score scout serve seven shade shape share shark sharp sheep sheet shelf shell shift shine shirt shock shore
short shout sight silly siren skate skill skirt slate sleep slice slide slope small smart smile smoke snack snail snake solar
solid solve sound south space spark speak speed spice spoon sport spray squid stack staff stage stair stamp stand start state
steak steam steel stone store storm story stove straw strip study sugar sunny super surge sushi sweet swift swing sword table
taste teach thank theme thick thing think third three thumb tiger title toast today token tooth topic torch total touch tower
toxic track trade trail train treat trend trial tribe trout truck trunk trust truth tulip tutor twist uncle under union unity
urban usual valid value valve vapor video visit vital voice wagon waist waste watch water wharf wheat wheel white whole woman
world worry wrist write wrong yacht young youth zebra
accent action advice affair agency almond always amount anchor animal answer appeal arctic around artist asleep august author
autumn avenue awaken badger bakery ballet bamboo banana banner barber barrel basket battle beacon beauty beaver become before
behind belief bessie better beyond bishop blazer border bottle bottom branch breath breeze bridge bright broken bronze bubble
bucket budget buffet bundle burger butter button cactus camera campus canary candle canvas carbon carpet carrot castle casual
cattle celery center cereal chance change charge cheese cherry choice chrome church cinema circle circus citrus client closet
coffee collar colony column comedy common cookie copper corner cotton county cousin crayon create credit cruise custom cyclic
dagger danger debate decade defend degree denial design desert detail dinner direct doctor dollar donkey double dragon drawer
driver during easily editor effect effort either eleven empire energy engine enough escape estate expert fabric family famous
farmer father feline fellow figure filter finger finish flavor flight floral flower forest formal fossil foster freeze french
friend frozen future galaxy garage garden garlic gentle ginger global golden gospel grocer ground growth guitar hamlet hammer
handle harbor heaven height helmet hidden hiking hockey honest hunter icicle impact income indoor infant insect inside island
jacket jaguar jersey jigsaw jungle junior kennel kernel kettle kidney kitten ladder lagoon laptop launch lawyer leader league
legend lesson letter liquid listen little lizard locker lounge lumber luxury magnet mammal manual marble margin marina market
master meadow medium melody member memory method middle minute mirror mobile modern moment monkey mosaic mother motion museum
mutual napkin narrow nation nature nephew nickel ninety normal number oblong office online option orange orchid origin oxygen
oyster packet palace parade parcel pardon parent parrot pastry patrol peanut pebble pencil people pepper permit pickle picnic
pigeon pillow pirate planet plasma pocket poetry police polish postal potato powder prince prison profit public puddle purple
puzzle python quartz rabbit racket ransom recipe record reform region relief remote repair rescue result retail return reward
ribbon rocket rubber saddle safari safety saliva salmon sample sandal school season second secret select senior series shadow
shield shower silent silver simple singer sister sketch smooth soccer social socket sphere spider spiral spirit spring square
stable statue status stream street strike string studio summer sunset switch symbol system talent target temple tender tennis
thread throne ticket timber tomato tongue travel treaty tunnel turkey turtle unique update useful vacant valley velvet vessel
victim violet violin virtue vision volume walnut wealth weapon weight window winner winter wisdom wonder worker yellow zigzag
"""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS: tuple[str, ...] = tuple(sorted({word.upper() for word in _WORDS.split() if 3 <= len(word) <= 6}))


def is_held_out(word: str) -> bool:
    """Whether `word` belongs to the tenth of the lexicon that no training picture ever shows."""
    return crc32(word.encode()) % 10 == 0


TRAINING_WORDS = tuple(word for word in WORDS if not is_held_out(word))
HELD_OUT_WORDS = tuple(word for word in WORDS if is_held_out(word))
