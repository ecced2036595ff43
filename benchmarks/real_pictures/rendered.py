"""The rendered pictures of the set, by name. Shops, people and figures in them are invented."""

from plots import Chart
from templates import Html, page, receipt, shapes, sign, table

SIGNS: dict[str, Html] = {
    "sign_bakery": sign(["Harrow Bakery", "Fresh bread daily"], font="Lobster", board="#7a3b1d", wall="#d8c9ae"),
    "sign_open": sign(["OPEN", "Mon - Fri 8:30 - 18:00"], font="Open Sans", board="#12664f", size_px=84),
    "sign_parking": sign(["NO PARKING", "Fire lane"], font="Bebas Neue", ink="#c1121f", board="white", size_px=88),
    "sign_floor": sign(["CAUTION", "Wet floor"], font="Liberation Sans", ink="black", board="#ffd60a", size_px=72),
    "sign_exit": sign(["EXIT"], font="Liberation Sans", board="#0a7d33", wall="#8d99ae", size_px=130),
    "sign_library": sign(["City Library", "Please be quiet"], font="EB Garamond", ink="#f5e9c8", board="#3b2f2f"),
    "sign_platform": sign(["Platform 7", "to Norwich"], font="DejaVu Sans", board="#003f88", size_px=70),
    "sign_room": sign(["Room 214", "Dr. Ellen Marsh"], font="Cantarell", ink="#222", board="#e5e5e5", wall="#7f8f80"),
    "sign_eggs": sign(
        ["Farm Eggs", "12 for $4"], font="Dancing Script", ink="white", board="#2f3e46", wall="#caa472", size_px=78
    ),
    "sign_pharmacy": sign(["PHARMACY", "Open 24 hours"], font="Cabin", board="#2a9d8f", wall="#577590", size_px=70),
    "sign_speed": sign(
        ["30"], font="Liberation Sans", ink="#c1121f", board="white", wall="#9bb0c1", size_px=170, radius_px=160
    ),
    "sign_museum": sign(
        ["Museum of Clocks", "Closed on Tuesdays"], font="Vollkorn", ink="#2b2d42", board="#edf2f4", size_px=54
    ),
    "sign_road": sign(
        ["Wexford 18", "Carlow 42"], font="DejaVu Sans", board="#00562b", wall="#9cc0d9", size_px=72, tilt="none"
    ),
    "sign_coffee": sign(["The Blue Door", "Coffee & Cake"], font="Comfortaa", board="#264653", size_px=58),
}

PAPERS: dict[str, Html] = {
    "receipt_cafe": receipt(
        "CAFE LUNA",
        [
            ("12 May 2024  09:41", ""),
            ("Espresso", "2.40"),
            ("Croissant", "3.10"),
            ("Orange juice", "4.20"),
            ("TOTAL", "9.70"),
        ],
        ["Paid by card", "Thank you!"],
        font="DejaVu Sans Mono",
    ),
    "receipt_market": receipt(
        "Green Valley Market",
        [
            ("Tomatoes 1 kg", "3.25"),
            ("Milk 2 l", "2.80"),
            ("Rice", "1.95"),
            ("Olive oil", "8.50"),
            ("TOTAL", "$16.50"),
            ("Cash", "$20.00"),
            ("Change", "$3.50"),
        ],
        ["2023-11-18", "Cashier: Rosa"],
        font="Liberation Mono",
    ),
    "receipt_tools": receipt(
        "Miller Hardware",
        [("Paint brush", "6.75"), ("Sandpaper", "3.20"), ("Screws (box)", "5.05"), ("Total", "15.00")],
        ["Returns within 30 days"],
        font="Liberation Serif",
        width=460,
    ),
    "receipt_taxi": receipt(
        "CITY TAXI No. 58",
        [("From", "Airport"), ("To", "Grand Hotel"), ("Distance", "14 km"), ("Fare", "27.60"), ("Tip", "2.40")],
        ["Driver: Omar"],
        font="Open Sans",
    ),
    "menu": page(
        "<h1 style='text-align:center;margin:0'>The Old Mill</h1><p style='text-align:center'>Lunch menu</p>"
        "<table style='width:100%;font-size:24px;line-height:2'><tr><td>Tomato soup<td>$5<tr><td>Grilled trout<td>$14"
        "<tr><td>Mushroom pie<td>$11<tr><td>Apple cake<td>$6</table>",
        font="EB Garamond",
        width=560,
        height=480,
        background="#fdf6e3",
    ),
    "timetable": table(
        "Bus 12: departures from Central Square",
        ["Stop", "Morning", "Noon", "Evening"],
        [
            ["Central Square", "7:15", "12:05", "18:20"],
            ["Hospital", "7:24", "12:14", "18:29"],
            ["University", "7:31", "12:21", "18:36"],
            ["Airport", "7:50", "12:40", "18:55"],
        ],
        font="Liberation Sans",
        accent="#7b2d26",
    ),
    "ticket_train": page(
        "<div style='border:3px dashed #555;padding:20px'><h2 style='margin:0'>RAIL TICKET</h2><p>From <b>"
        "Dublin</b> to "
        "<b>Galway</b></p><p>Date: 3 August 2025 &nbsp; Time: 14:35</p><p>Coach: C &nbsp; Seat: 46</p>"
        "<p>Price: EUR 21.90</p></div>",
        font="DejaVu Sans",
        width=560,
        height=380,
        background="#e8f1f2",
    ),
    "ticket_concert": page(
        "<div style='background:#240046;color:white;padding:24px;border-radius:14px'><h1 style='margin:0'>"
        "Night Strings</h1>"
        "<p>Riverside Hall, Saturday 9 March, 20:00</p><p>Row F, Seat 17</p><p>Price: $35</p></div>",
        font="Cabin",
        width=560,
        height=330,
    ),
    "letter": page(
        "<p style='text-align:right'>Leeds, 4 February 2025</p><p>Dear Mr. Okafor,</p><p>Thank you for your order of "
        "15 garden chairs. We will deliver them on 20 February. Please have someone at home between 9 and 11 in the "
        "morning.</p><p>Kind regards,<br>Hannah Brook<br>Brook Garden Furniture</p>",
        font="Liberation Serif",
        width=640,
        height=500,
    ),
    "invoice": page(
        "<h2 style='margin:0'>INVOICE No. 2071</h2><p>To: Silva Design Ltd.<br>Date: 15 June 2024</p><table border=1 "
        "cellpadding=8 style='border-collapse:collapse;width:100%;font-size:19px'><tr><th>Item<th>Hours<th>"
        "Amount<tr><td>"
        "Web design<td>12<td>$960<tr><td>Photography<td>5<td>$450<tr><td><b>Total</b><td>17<td><b>$1,410</b></table>"
        "<p>Please pay within 14 days.</p>",
        font="Open Sans",
        width=600,
        height=480,
    ),
    "form": page(
        "<h2 style='margin:0 0 12px'>Swimming club: membership form</h2><table style='font-size:21px;line-height:2'>"
        "<tr><td>Name:<td><b>Priya Nair</b><tr><td>Age:<td><b>29</b><tr><td>Town:<td><b>Brighton</b><tr><td>Membership:"
        "<td><b>Family</b><tr><td>Start date:<td><b>1 September 2024</b></table>",
        font="Cantarell",
        width=600,
        height=380,
        background="#f7fbff",
    ),
    "card": page(
        "<h1 style='margin:0'>Tomas Lindqvist</h1><p>Piano tuner</p><p>Telephone: 0171 555 0198<br>"
        "E-mail: tomas@lindqvist.example</p>",
        font="Vollkorn",
        width=540,
        height=290,
        background="#faf3dd",
    ),
}

PAGES: dict[str, Html] = {
    "page_news": page(
        "<div style='color:#a00;font-size:34px;font-weight:bold'>The Daily Harbor</div><hr><h1 "
        "style='margin:8px 0'>New "
        "bridge opens after three years of work</h1><p>The Elm Street bridge opened on Monday. It cost 42 million "
        "dollars and is 310 meters long. Mayor Linda Reyes cut the ribbon in front of about 2,000 visitors.</p>",
        font="Liberation Serif",
    ),
    "page_shop": page(
        "<div style='background:#0b3954;color:white;padding:12px 18px;font-size:24px'>TrailShop <span "
        "style='float:right'>"
        "Cart (2)</span></div><h2>Hiking backpack 40 l</h2><p style='font-size:28px;color:#b00'>$79.00</p><p>Weight: "
        "1.3 kg<br>Color: dark green<br>In stock: 6</p><button style='font-size:22px;padding:8px 22px'>Add to cart"
        "</button>",
        font="Open Sans",
        height=460,
    ),
    "page_weather": page(
        "<h1 style='margin:0'>Weather in Porto</h1><p style='font-size:60px;margin:6px 0'>18&deg;C</p><p>Cloudy, wind "
        "12 km/h, humidity 71%</p><table style='font-size:21px' cellpadding=8><tr><td>Tue<td>19&deg;<td>"
        "Sunny<tr><td>Wed"
        "<td>16&deg;<td>Rain<tr><td>Thu<td>17&deg;<td>Cloudy</table>",
        font="Cantarell",
        height=440,
        background="#dceefb",
    ),
    "page_login": page(
        "<h1>Welcome back</h1><p>User name</p><input style='font-size:22px' value='m.keller'><p>Password</p><input "
        "type=password style='font-size:22px' value='secret99'><p><button style='font-size:22px;padding:6px "
        "24px'>Sign in"
        "</button></p><p><a href='#'>Forgot your password?</a></p>",
        font="Liberation Sans",
        width=520,
        height=470,
    ),
    "page_recipe": page(
        "<h1 style='margin:0'>Pancakes</h1><p>Serves 4, ready in 25 minutes</p><ul><li>250 g flour<li>3 eggs<li>500 ml "
        "milk<li>1 pinch of salt</ul><p>Mix everything, wait ten minutes and fry in butter.</p>",
        font="Comfortaa",
        height=430,
        background="#fffaf0",
    ),
}

TABLES: dict[str, Html] = {
    "table_cities": table(
        "Population (thousands)",
        ["City", "2010", "2020"],
        [["Aston", "120", "145"], ["Brookfield", "310", "298"], ["Camden", "85", "97"], ["Dover", "210", "240"]],
        font="DejaVu Sans",
    ),
    "table_league": table(
        "Chess league",
        ["Team", "Played", "Won", "Points"],
        [
            ["Rooks", "10", "7", "15"],
            ["Knights", "10", "6", "13"],
            ["Bishops", "9", "4", "9"],
            ["Pawns", "9", "2", "5"],
        ],
        font="Open Sans",
        accent="#2d6a4f",
    ),
    "table_prices": table(
        "Fruit prices per kilogram",
        ["Fruit", "Price", "Origin"],
        [
            ["Apples", "$2.10", "Poland"],
            ["Bananas", "$1.60", "Ecuador"],
            ["Grapes", "$4.75", "Italy"],
            ["Mangoes", "$5.30", "India"],
        ],
        font="Liberation Sans",
        accent="#9c6644",
    ),
    "table_staff": table(
        "Staff",
        ["Name", "Job", "Room"],
        [["Ada", "Engineer", "12"], ["Bruno", "Cook", "3"], ["Carla", "Nurse", "27"], ["Dmitri", "Driver", "8"]],
        font="EB Garamond",
        accent="#582f0e",
    ),
}

CHARTS: dict[str, Chart] = {
    "chart_pets": Chart("bar", "Pets in our street", ["Dogs", "Cats", "Birds", "Fish"], {"": [14, 19, 6, 9]}),
    "chart_rain": Chart(
        "bar", "Rain in Millport", ["Jan", "Feb", "Mar", "Apr", "May"], {"": [80, 65, 50, 30, 20]}, "mm", ["#4a7fb5"]
    ),
    "chart_sales": Chart(
        "barh",
        "Tickets sold",
        ["Monday", "Tuesday", "Wednesday", "Thursday"],
        {"": [120, 45, 90, 150]},
        "tickets",
        ["#e07a5f", "#3d405b", "#81b29a", "#f2cc8f"],
    ),
    "chart_temperature": Chart(
        "line",
        "Temperature at noon",
        ["Mon", "Tue", "Wed", "Thu", "Fri"],
        {"": [12, 15, 21, 18, 16]},
        "°C",
        ["#c1121f"],
    ),
    "chart_visitors": Chart(
        "line",
        "Visitors per year",
        ["2020", "2021", "2022", "2023"],
        {"Museum": [20, 30, 45, 60], "Zoo": [80, 70, 66, 50]},
        "thousands",
        ["#1d3557", "#2a9d8f"],
    ),
    "chart_budget": Chart(
        "pie",
        "Household budget",
        ["Rent", "Food", "Travel", "Savings"],
        {"": [45, 25, 20, 10]},
        colors=["#457b9d", "#e9c46a", "#e76f51", "#8ab17d"],
    ),
    "chart_languages": Chart(
        "pie",
        "Languages spoken",
        ["Spanish", "French", "German"],
        {"": [50, 30, 20]},
        colors=["#d62828", "#f77f00", "#003049"],
        marked=False,
    ),
    "chart_scores": Chart(
        "bar",
        "Test scores",
        ["Anna", "Ben", "Chloe"],
        {"": [72, 91, 58]},
        "points",
        ["#7b2cbf", "#2b9348", "#f48c06"],
        font="Liberation Sans",
    ),
}

SHAPES: dict[str, Html] = {
    "shapes_circle": shapes([("circle", "red", 50, 50, 28)]),
    "shapes_triangle": shapes([("triangle", "green", 50, 55, 32)]),
    "shapes_star": shapes([("star", "gold", 50, 52, 36)], background="#1b2a49"),
    "shapes_hexagon": shapes([("hexagon", "purple", 50, 50, 30)]),
    "shapes_pair": shapes([("square", "blue", 26, 50, 22), ("circle", "orange", 74, 50, 16)]),
    "shapes_three": shapes(
        [("circle", "green", 20, 50, 13), ("circle", "green", 50, 50, 13), ("circle", "green", 80, 50, 13)]
    ),
    "shapes_five": shapes([("star", "red", 18 + 32 * (n % 3), 32 + 36 * (n // 3), 13) for n in range(5)]),
    "shapes_sizes": shapes([("triangle", "red", 24, 60, 12), ("triangle", "blue", 68, 55, 28)]),
    "shapes_mixed": shapes(
        [("square", "red", 22, 25, 16), ("circle", "blue", 75, 25, 14), ("triangle", "black", 50, 75, 18)]
    ),
    "shapes_cross": shapes([("cross", "red", 50, 50, 32)], background="#f1f1f1"),
    "shapes_seven": shapes(
        [("circle", "blue", 16 + 23 * (n % 4), 30 + 36 * (n // 4), 9) for n in range(7)], background="#fff8e7"
    ),
    "shapes_stack": shapes(
        [("circle", "yellow", 50, 24, 15), ("rectangle", "brown", 50, 76, 24)], background="#dddddd"
    ),
}

PICTURES: dict[str, Html | Chart] = SIGNS | PAPERS | PAGES | TABLES | CHARTS | SHAPES

EXAMPLE_PICTURES: dict[str, Html | Chart] = {
    "shop_sign": sign(["Rosie's Flowers", "Open until 6 pm"], font="Lobster", board="#2d6a4f", wall="#d9c5a0"),
    "receipt": receipt(
        "CORNER DELI",
        [("Ham sandwich", "5.50"), ("Lemonade", "2.75"), ("Brownie", "3.00"), ("TOTAL", "11.25")],
        ["Thank you, come again!"],
        font="Liberation Mono",
    ),
    "chart": Chart(
        "bar",
        "Books read in a year",
        ["Mia", "Leo", "Zoe", "Max"],
        {"": [12, 30, 21, 8]},
        "books",
        ["#4a7fb5"],
        font="Open Sans",
    ),
}
