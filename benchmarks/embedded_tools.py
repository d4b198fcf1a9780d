"""The tools of the held-out tasks: what each returns is drawn anew for every seed (see `embedded_harness.py`)."""

from __future__ import annotations

from embedded_harness import JsonObject, function

S = "string"
LIST = {"type": "array", "items": {"type": "string"}}


def text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def choice(*values: str) -> JsonObject:
    return {"type": "string", "enum": list(values)}


#: Words that an answer may use for an English word of a result.
WORDS: dict[str, list[str]] = {
    "available": ["空闲", "可用", "有空", "free"],
    "occupied": ["占用", "有人", "使用中", "不空"],
    "ready": ["完成", "好了", "就绪", "可以取", "可取", "准备"],
    "printing": ["打印中", "正在打印"],
    "full moon": ["满月"],
    "new moon": ["新月"],
    "confirmed": ["确认", "成功"],
}

TOOLS: dict[str, JsonObject] = {
    "doctor_slots": function(
        "doctor_slots",
        "Free appointments of a doctor on a day",
        {"first_free": ["08:40", "11:15", "15:50"], "free": (2, 9)},
        "doctor day",
        doctor=S,
        day=text("weekday or date"),
    ),
    "book_doctor": function(
        "book_doctor",
        "Book an appointment with a doctor",
        {"appointment": "@code", "state": "confirmed"},
        "doctor day time",
        doctor=S,
        day=text("weekday or date"),
        time=text("HH:MM"),
        reason=S,
    ),
    "room_status": function(
        "room_status",
        "Whether a meeting room is free now",
        {"state": ["available", "occupied"], "seats": (4, 40)},
        "room",
        room=S,
    ),
    "room_price": function(
        "room_price",
        "Price of a hotel room per night",
        {"price_per_night": (60, 400), "left": (1, 12)},
        "hotel nights",
        hotel=S,
        nights="integer",
        breakfast="boolean",
        category=choice("single", "double", "suite"),
    ),
    "soil_moisture": function(
        "soil_moisture",
        "Read the moisture sensor of a plant",
        {"moisture_percent": (5, 80)},
        "plant",
        plant=S,
    ),
    "water_plant": function(
        "water_plant",
        "Water a plant",
        {"ok": True, "tank_left_ml": (100, 5000)},
        "plant millilitres",
        plant=S,
        millilitres={"type": "integer", "minimum": 10, "maximum": 2000},
    ),
    "chess_rating": function(
        "chess_rating",
        "Rating of a chess player",
        {"rating": (1100, 2800), "games": (20, 900)},
        "player",
        player=S,
        variant=choice("blitz", "rapid", "classical"),
    ),
    "loan_payment": function(
        "loan_payment",
        "Monthly payment of a loan",
        {"monthly": (90.0, 2400.0)},
        "principal annual_rate years",
        principal={"type": "number", "description": "amount borrowed"},
        annual_rate={"type": "number", "description": "interest in percent"},
        years="integer",
    ),
    "open_ticket": function(
        "open_ticket",
        "Report a problem to the support desk",
        {"ticket": "@code"},
        "summary priority",
        summary=S,
        priority=choice("low", "normal", "high"),
        tags=LIST,
    ),
    "ticket_status": function(
        "ticket_status",
        "State of a support ticket",
        {"handled_by": ["Iris", "Tomas", "Noor"], "hours_left": (1, 70)},
        "ticket",
        ticket=S,
    ),
    "print_file": function(
        "print_file",
        "Print a file",
        {"job": "@id", "pages": (1, 60)},
        "path",
        path=S,
        copies="integer",
        duplex="boolean",
    ),
    "printer_state": function("printer_state", "State of the printer", {"toner_percent": (2, 98), "paper_left": (0, 400)}),
    "meter_reading": function(
        "meter_reading",
        "Energy used by a flat in a month",
        {"kwh": (80, 900)},
        "flat month",
        flat=S,
        month=text("month, as the user says it"),
    ),
    "moon_phase": function(
        "moon_phase",
        "Phase of the moon on a date",
        {"phase": ["full moon", "new moon"], "illumination_percent": (1, 99)},
        "date",
        date=text("the day, as the user says it"),
    ),
    "word_count": function("word_count", "Count the words of a document", {"words": (120, 90000)}, "document", document=S),
    "dictionary": function(
        "dictionary",
        "Definition of an English word",
        {"definition": ["a small sealed flask", "a narrow street"]},
        "word",
        word=S,
    ),
    "member_by_name": function(
        "member_by_name",
        "Find a member of the sports club",
        {"member_id": "@id", "since": (1990, 2024)},
        "name",
        name=S,
    ),
    "member_fees": function(
        "member_fees",
        "Fees that a club member owes",
        {"owed_eur": (10, 700), "months": (1, 9)},
        "member_id",
        member_id="integer",
    ),
    "court_hours": function(
        "court_hours",
        "Opening hours of a sports court",
        {"opens": ["06:30", "09:00"], "closes": ["20:15", "23:00"]},
        "court day",
        court=choice("tennis", "squash", "padel"),
        day=S,
    ),
    "send_sms": function("send_sms", "Send a text message", {"message_id": "@code"}, "to body", to=S, body=S),
    "phone_of": function(
        "phone_of", "Phone number of a contact", {"number": ["+31 20 555 014", "+49 30 555 771"]}, "contact", contact=S
    ),
    "car_charge": function("car_charge", "Charge of the electric car", {"charge_percent": (5, 99), "range_km": (20, 510)}),
    "set_alarm": function("set_alarm", "Set an alarm clock", {"alarm_id": "@id"}, "time", time=text("HH:MM"), days=LIST, label=S),
    "route": function(
        "route",
        "Distance and time between two addresses",
        {"km": (2, 95), "minutes": (6, 140)},
        "start end",
        start=S,
        end=S,
        mode=choice("walk", "bike", "car"),
        via=LIST,
    ),
    "order_part": function(
        "order_part",
        "Order a spare part",
        {"order": "@code", "days": (1, 30)},
        "part",
        part={
            "type": "object",
            "properties": {"number": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
            "required": ["number", "quantity"],
        },
        express="boolean",
    ),
}
