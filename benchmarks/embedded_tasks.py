"""Held-out tasks for the embedded model: domains, tools and phrasings that nothing was developed on.

Format (see `embedded_harness.py`): each task lists its tools, draws `$names` per seed, and states per turn what is said,
which calls are right (`key?` may be left out, a list means any of), and which result values the answer must carry.
"""

from __future__ import annotations

from typing import Any

from embedded_harness import JsonObject


def task(name: str, tools: str, say: str, calls: list[Any], shows: str = "", says: tuple[str, ...] = (), **more: Any) -> JsonObject:
    turns = [{"say": say, "calls": calls, "shows": shows.split(), "says": list(says)}]
    return {"id": name, "tools": tools.split(), "turns": turns, **more}


def call(name: str, /, **arguments: Any) -> list[Any]:
    return [name, arguments]


FIVE = "soil_moisture chess_rating meter_reading word_count route"
CLUB = "member_by_name member_fees court_hours"
DESK = "open_ticket ticket_status printer_state print_file"
CODE, ID = {"c": "@code"}, {"i": "@id"}
SORRY = "not|no |unable|cannot|can't|fail|error|sorry|unavailable|offline|couldn't"
SORRY_ZH = "没有|无法|不能|不存在|错误|失败|抱歉|未找到|找不到|离线|不可用"

TASKS: list[JsonObject] = [
    # one tool
    task(
        "doc1",
        "doctor_slots",
        "Does Dr. Haddad have anything free on Thursday?",
        [call("doctor_slots", doctor=["Dr. Haddad", "Haddad"], day="thursday")],
        "doctor_slots.first_free",
    ),
    task(
        "plant1",
        "soil_moisture",
        "Is my fern too dry?",
        [call("soil_moisture", plant=["fern", "my fern"])],
        "soil_moisture.moisture_percent",
    ),
    task(
        "plant2",
        "soil_moisture",
        "帮我看看绿萝的土壤湿度。",
        [call("soil_moisture", plant="绿萝")],
        "soil_moisture.moisture_percent",
    ),
    task("car1", "car_charge", "How far can I still drive with the car?", [call("car_charge")], "car_charge.range_km"),
    task("car2", "car_charge", "车还有多少电？", [call("car_charge")], "car_charge.charge_percent"),
    task(
        "word1",
        "dictionary",
        "What does the word 'phial' mean? Look it up.",
        [call("dictionary", word="phial")],
        "dictionary.definition",
    ),
    task(
        "loan1",
        "loan_payment",
        "I want to borrow $p over $y years at 3.5 percent. What would I pay each month?",
        [call("loan_payment", principal="$p", annual_rate=3.5, years="$y")],
        "loan_payment.monthly",
        vars={"p": [12000, 85000, 240000], "y": (5, 30)},
    ),
    task(
        "loan2",
        "loan_payment",
        "贷款$p元，年利率4.2%，分$y年还，每月要还多少？",
        [call("loan_payment", principal="$p", annual_rate=4.2, years="$y")],
        "loan_payment.monthly",
        vars={"p": [50000, 300000], "y": (5, 30)},
    ),
    task(
        "part1",
        "order_part",
        "Order $n pieces of part $c.",
        [call("order_part", part={"number": "$c", "quantity": "$n"})],
        "order_part.order",
        vars={"c": "@code", "n": (2, 40)},
    ),
    task(
        "part2",
        "order_part",
        "Please get me one $c by express delivery.",
        [call("order_part", part={"number": "$c", "quantity": 1}, express=True)],
        "order_part.order order_part.days",
        vars=CODE,
    ),
    task(
        "sms1",
        "send_sms",
        "Text Olga that I am ten minutes late.",
        [call("send_sms", to="Olga", body=["I am ten minutes late", "I'm ten minutes late", "I am ten minutes late."])],
        "",
    ),
    task(
        "err1",
        "soil_moisture",
        "How moist is the soil of the cactus?",
        [call("soil_moisture", plant=["cactus", "the cactus"])],
        "",
        (SORRY,),
        results={"soil_moisture": {"error": "sensor offline"}},
    ),
    task(
        "err2",
        "ticket_status",
        "工单$c现在谁在处理？",
        [call("ticket_status", ticket="$c")],
        "",
        (SORRY_ZH,),
        vars=CODE,
        results={"ticket_status": {"error": "ticket not found"}},
    ),
    task("chat1", "doctor_slots", "Good morning! Who are you?", []),
    task("chat2", "car_charge", "Why is the sky blue?", [], "", ("scatter|wavelength|light",)),
    task("chat3", "soil_moisture", "讲个笑话给我听吧", []),
    task("none1", "doctor_slots", "Order flowers for my mother.", []),
    task("none2", "loan_payment", "What was the closing price of the Nikkei yesterday?", []),
    task("none3", "send_sms", "帮我订一张电影票。", []),
    # two tools
    task(
        "doc2",
        "doctor_slots book_doctor",
        "Book me in with Dr. Sato on Monday at 09:20.",
        [call("book_doctor", doctor=["Dr. Sato", "Sato"], day="monday", time="09:20")],
        "book_doctor.appointment",
    ),
    task(
        "doc3",
        "doctor_slots book_doctor",
        "李医生周五还有几个空号？",
        [call("doctor_slots", doctor=["李医生", "李", "Dr. Li"], day=["周五", "星期五", "friday"])],
        "doctor_slots.free",
    ),
    task(
        "room1",
        "room_status printer_state",
        "Is the Orion room taken at the moment?",
        [call("room_status", room=["Orion", "Orion room"])],
        "room_status.state",
    ),
    task(
        "room2",
        "room_status printer_state",
        "Are Orion and Vega free right now?",
        [call("room_status", room=["Orion", "Orion room"]), call("room_status", room=["Vega", "Vega room"])],
        "",
    ),
    task(
        "print1",
        "print_file printer_state",
        "Print report.pdf, $n copies, both sides.",
        [call("print_file", path="report.pdf", copies="$n", duplex=True)],
        "print_file.job",
        vars={"n": (2, 9)},
    ),
    task("print2", "print_file printer_state", "打印机还有多少碳粉？", [call("printer_state")], "printer_state.toner_percent"),
    task(
        "print3",
        "print_file printer_state",
        "How much paper is left, and then print notes.txt please.",
        [call("printer_state"), call("print_file", path="notes.txt")],
        "printer_state.paper_left",
    ),
    task(
        "water1",
        "soil_moisture water_plant",
        "Give the basil $n ml of water.",
        [call("water_plant", plant=["basil", "the basil"], millilitres="$n")],
        "water_plant.tank_left_ml",
        vars={"n": [80, 150, 300]},
    ),
    task(
        "water2",
        "soil_moisture water_plant",
        "给薄荷浇$n毫升水，再看看芦荟的湿度。",
        [call("water_plant", plant=["薄荷", "mint"], millilitres="$n"), call("soil_moisture", plant=["芦荟", "aloe"])],
        "soil_moisture.moisture_percent",
        vars={"n": [80, 150, 300]},
    ),
    task(
        "moon1",
        "moon_phase set_alarm",
        "Which phase is the moon in on 4 June?",
        [call("moon_phase", date=["4 June", "June 4", "06-04", "0604"])],
        "moon_phase.phase",
    ),
    task("alarm1", "moon_phase set_alarm", "Wake me at 06:45.", [call("set_alarm", time="06:45", **{"label?": "*"})], ""),
    task(
        "alarm2",
        "moon_phase set_alarm",
        "明天早上7点半叫我起床。",
        [call("set_alarm", time=["07:30", "7:30"], **{"label?": "*", "days?": [["明天"], ["tomorrow"]]})],
        "",
    ),
    task("sms2", "send_sms phone_of", "What's Marek's phone number?", [call("phone_of", contact="Marek")], "phone_of.number"),
    task(
        "rate1",
        "chess_rating dictionary",
        "What is Lena Voss rated in blitz?",
        [call("chess_rating", player="Lena Voss", variant="blitz")],
        "chess_rating.rating",
    ),
    task(
        "rate2",
        "chess_rating dictionary",
        "Who has played more games, Lena Voss or Piet Maas?",
        [call("chess_rating", player="Lena Voss"), call("chess_rating", player="Piet Maas")],
        "chess_rating.games",
    ),
    task("none4", "soil_moisture water_plant", "Repot the basil for me.", []),
    task("none5", "chess_rating dictionary", "What's the tallest mountain on Mars?", [], "", ("Olympus",)),
    task("none6", "room_status printer_state", "今天中午吃什么好？", []),
    # three and more
    task(
        "club1",
        CLUB,
        "What does Ines Duarte owe the club?",
        [call("member_by_name", name="Ines Duarte"), call("member_fees", member_id="$member_by_name.member_id")],
        "member_fees.owed_eur",
    ),
    task(
        "club2",
        CLUB,
        "会员陈静欠了几个月的会费？",
        [call("member_by_name", name="陈静"), call("member_fees", member_id="$member_by_name.member_id")],
        "member_fees.months",
    ),
    task(
        "club3", CLUB, "Since when has Hugo Lind been a member?", [call("member_by_name", name="Hugo Lind")], "member_by_name.since"
    ),
    task(
        "club4",
        CLUB,
        "When does the squash court close on Sunday?",
        [call("court_hours", court="squash", day="sunday")],
        "court_hours.closes",
    ),
    task(
        "club5",
        CLUB,
        "How much does member $i have to pay?",
        [call("member_fees", member_id="$i")],
        "member_fees.owed_eur",
        vars=ID,
    ),
    task(
        "club6",
        CLUB,
        "网球场和壁球场周六几点开门？",
        [
            call("court_hours", court="tennis", day=["周六", "星期六", "saturday"]),
            call("court_hours", court="squash", day=["周六", "星期六", "saturday"]),
        ],
        "court_hours.opens",
    ),
    task("club7", CLUB, "Cancel my membership.", []),
    task(
        "desk1",
        DESK,
        "The scanner on floor 3 is broken, please report it with high priority.",
        [call("open_ticket", summary="*", priority="high", **{"tags?": "*"})],
        "open_ticket.ticket",
    ),
    task(
        "desk2",
        DESK,
        "Who is working on $c, and how long will it take?",
        [call("ticket_status", ticket="$c")],
        "ticket_status.handled_by ticket_status.hours_left",
        vars=CODE,
    ),
    task("desk3", DESK, "工单$c还要几个小时？", [call("ticket_status", ticket="$c")], "ticket_status.hours_left", vars=CODE),
    task(
        "desk4",
        DESK,
        "Compare $c with $d: who handles each?",
        [call("ticket_status", ticket="$c"), call("ticket_status", ticket="$d")],
        "ticket_status.handled_by",
        vars={"c": "@code", "d": "@code"},
    ),
    task("desk5", DESK, "Write a haiku about printers.", []),
    task("five1", FIVE, "How many words does thesis.docx have?", [call("word_count", document="thesis.docx")], "word_count.words"),
    task(
        "five2",
        FIVE,
        "How long does it take by bike from Elm Street 4 to Harbour Road 19?",
        [call("route", start="Elm Street 4", end="Harbour Road 19", mode="bike")],
        "route.minutes",
    ),
    task(
        "five3",
        FIVE,
        "从人民路8号开车到湖滨路20号有多少公里？",
        [call("route", start="人民路8号", end="湖滨路20号", mode="car")],
        "route.km",
    ),
    task(
        "five4",
        FIVE,
        "What did flat 12B use in March, in kilowatt hours?",
        [call("meter_reading", flat=["12B", "flat 12B"], month="march")],
        "meter_reading.kwh",
    ),
    task(
        "five5",
        FIVE,
        "Count the words of a.txt and of b.txt.",
        [call("word_count", document="a.txt"), call("word_count", document="b.txt")],
        "word_count.words",
    ),
    task("five6", FIVE, "Translate 'good luck' into Finnish.", []),
    task("five7", FIVE, "谢谢，没别的事了。", []),
    task(
        "five8",
        FIVE,
        "查一下301室五月份的用电量。",
        [call("meter_reading", flat=["301", "301室"], month=["五月", "五月份", "5月", "may", "5", "05"])],
        "meter_reading.kwh",
    ),
    task(
        "hotel1",
        "room_price route send_sms",
        "What would a suite at the Grand Bellevue for $n nights cost per night?",
        [call("room_price", hotel=["Grand Bellevue", "the Grand Bellevue"], nights="$n", category="suite")],
        "room_price.price_per_night",
        vars={"n": (2, 9)},
    ),
    task(
        "hotel2",
        "room_price route send_sms",
        "湖景酒店住$n晚，含早餐，每晚多少钱？",
        [call("room_price", hotel="湖景酒店", nights="$n", breakfast=True)],
        "room_price.price_per_night",
        vars={"n": (2, 9)},
    ),
    # several turns
    {
        "id": "talk1",
        "tools": ["meter_reading", "car_charge"],
        "turns": [
            {
                "say": "How much energy did flat 7A use in April?",
                "calls": [call("meter_reading", flat=["7A", "flat 7A"], month="april")],
                "shows": ["meter_reading.kwh"],
            },
            {
                "say": "And in May?",
                "calls": [call("meter_reading", flat=["7A", "flat 7A"], month="may")],
                "shows": ["meter_reading.kwh"],
            },
        ],
    },
    {
        "id": "talk2",
        "tools": ["soil_moisture", "water_plant"],
        "turns": [
            {
                "say": "龟背竹的湿度是多少？",
                "calls": [call("soil_moisture", plant="龟背竹")],
                "shows": ["soil_moisture.moisture_percent"],
            },
            {"say": "给它浇200毫升水。", "calls": [call("water_plant", plant="龟背竹", millilitres=200)]},
        ],
    },
    {
        "id": "talk3",
        "tools": ["chess_rating"],
        "turns": [
            {
                "say": "What's Piet Maas's rating?",
                "calls": [call("chess_rating", player="Piet Maas")],
                "shows": ["chess_rating.rating"],
            },
            {"say": "Thank you, that's all.", "calls": []},
        ],
    },
    {
        "id": "talk4",
        "tools": ["ticket_status", "open_ticket"],
        "vars": CODE,
        "turns": [
            {"say": "Hello, I'm Bram.", "calls": []},
            {
                "say": "Who takes care of ticket $c?",
                "calls": [call("ticket_status", ticket="$c")],
                "shows": ["ticket_status.handled_by"],
            },
            {"say": "What was the ticket's number again?", "calls": [], "says": ["$c"]},
        ],
    },
    {
        "id": "talk5",
        "tools": CLUB.split(),
        "turns": [
            {
                "say": "When does the tennis court open on Monday?",
                "calls": [call("court_hours", court="tennis", day="monday")],
                "shows": ["court_hours.opens"],
            },
            {
                "say": "And the padel court?",
                "calls": [call("court_hours", court="padel", day="monday")],
                "shows": ["court_hours.opens"],
            },
        ],
    },
]
