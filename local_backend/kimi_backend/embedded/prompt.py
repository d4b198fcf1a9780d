"""The prompt that decides about calls: fixed examples, then the tools, then the conversation.

Every piece is tokenised on its own (see `Segments`), so that no text of a user or a tool can become a control token,
and so that the tokens of a conversation's beginning are the same in every request: the runtime keeps what it has
computed. The examples come from domains of their own (a library, a workshop).
"""

from __future__ import annotations

from collections.abc import Callable

from .conversation import Call, Conversation, Tool, Turn
from .schema import JsonObject, compact, properties, split_keys, type_text

__all__ = ["REPLY", "Segments", "call_head", "call_line", "conversation_segments", "prefix_segments", "tool_lines"]

#: The pseudo-tool that stands for an answer in words.
REPLY = "reply"
#: The pseudo-tool that ends a list of calls.
WAIT = "wait"
OPEN = '{"name": "'
MAX_RESULT = 1500
MAX_ANSWER = 400

SYSTEM = (
    "You decide which tools to call. Write one call per line, as JSON. Take the values from the request and the "
    "results. Leave out optional arguments that the request does not mention. Write "
    '{"name": "reply"} when no tool does what is asked, when it is small talk or general knowledge, when a needed '
    "value is unknown, or when the results already answer the request."
)
REPLY_LINE = "// Answer in words. Use it when no other tool does exactly what is asked, for chat, for general knowledge.\nreply()"

_LIBRARY = """// Find a book in the catalogue
find_book(title: string, language?: "en" | "zh")
// Extend a loan
renew_loan(loan_id: string /* as on the slip */, days?: integer)
// Open work orders of a person
list_orders(person: string)
// Close a work order
close_order(order_id: integer, notify: boolean)
"""
#: (request or results, what to write): the fixed examples, all over the tools above.
EXAMPLES: list[tuple[str, list[str]]] = [
    ('Request: Is "Dune" on the shelves?', ['{"name": "find_book", "arguments": {"title": "Dune"}}']),
    ('Results:\nfind_book: {"copies": 2, "shelf": "F4"}', ['{"name": "reply"}']),
    ("Request: Thanks! And who wrote it?", ['{"name": "reply"}']),
    (
        "Request: Extend my loans L-17 and L-20 by 5 days, please.",
        [
            '{"name": "renew_loan", "arguments": {"loan_id": "L-17", "days": 5}}',
            '{"name": "renew_loan", "arguments": {"loan_id": "L-20", "days": 5}}',
        ],
    ),
    ('Results:\nrenew_loan: {"due": "3 May"}\nrenew_loan: {"error": "reserved"}', ['{"name": "reply"}']),
    ("Request: Buy me a ticket for the reading tonight.", ['{"name": "reply"}']),
    ("Request: Extend loan L-9 by a month.", ['{"name": "renew_loan", "arguments": {"loan_id": "L-9", "days": 30}}']),
    (
        "Results:\nrenew_loan: Error: at most 28 days. Make the call again, differently.",
        ['{"name": "renew_loan", "arguments": {"loan_id": "L-9", "days": 28}}'],
    ),
    ('Results:\nrenew_loan: {"due": "1 June"}', ['{"name": "reply"}']),
    ("Request: 请帮我查一下《三体》的中文版。", ['{"name": "find_book", "arguments": {"title": "三体", "language": "zh"}}']),
    ('Results:\nfind_book: {"copies": 0}', ['{"name": "reply"}']),
    (
        "Request: Close Mia's open order and tell her, and is Emma in?",
        [
            '{"name": "list_orders", "arguments": {"person": "Mia"}}',
            '{"name": "find_book", "arguments": {"title": "Emma"}}',
        ],
    ),
    (
        'Results:\nlist_orders: [{"order_id": 88, "item": "lamp"}]\nfind_book: {"copies": 1}',
        ['{"name": "close_order", "arguments": {"order_id": 88, "notify": true}}'],
    ),
    ('Results:\nclose_order: {"ok": true}', ['{"name": "reply"}']),
    ("Request: 你是谁？给我讲个笑话吧。", ['{"name": "reply"}']),
]


class Segments:
    """Token ids put together from texts; control tokens only by `mark`."""

    def __init__(self, tokenize: Callable[..., tuple[int, ...]]) -> None:
        self._tokenize = tokenize
        self.ids: list[int] = []

    def text(self, text: str) -> Segments:
        """Add text that can never become a control token."""
        self.ids.extend(self._tokenize(text))
        return self

    def mark(self, text: str) -> Segments:
        """Add our own text, control tokens included."""
        self.ids.extend(self._tokenize(text, True))
        return self

    def message(self, role: str, *texts: str) -> Segments:
        """Add a whole ChatML message."""
        self.mark(f"<|im_start|>{role}\n")
        for text in texts:
            self.text(text)
        return self.mark("<|im_end|>\n")

    def lines(self, lines: list[str]) -> Segments:
        """Add what the decider wrote. The line break is a token of its own: the last one decides about more calls."""
        self.mark("<|im_start|>assistant\n")
        for index, line in enumerate(lines):
            if index:
                self.text("\n")
            self.text(line)
        if not lines[-1].startswith(f'{OPEN}{REPLY}"'):
            self.text("\n").text(f'{OPEN}{WAIT}"}}')
        return self.mark("<|im_end|>\n")


def tool_lines(tools: list[Tool]) -> str:
    """The tools as the model reads them: a comment and a signature each, `reply` last."""
    out: list[str] = []
    for tool in tools:
        if tool.description:
            out.append("// " + " ".join(tool.description.split()))
        required, optional = split_keys(tool.schema)
        arguments = ", ".join(_argument(tool.schema, k, k in required) for k in [*required, *optional])
        out.append(f"{tool.name}({arguments})")
    return "\n".join([*out, REPLY_LINE])


def _argument(schema: JsonObject, key: str, required: bool) -> str:
    member = properties(schema).get(key, {})
    words = " ".join(str(member.get("description") or "").split())
    note = f" /* {words} */" if words else ""
    return f"{key}{'' if required else '?'}: {type_text(member)}{note}"


def prefix_segments(segments: Segments) -> Segments:
    """The fixed beginning: the same for every request, computed once per model and kept on disk."""
    segments.message("system", SYSTEM)
    for index, (said, lines) in enumerate(EXAMPLES):
        head = f"Tools:\n{_LIBRARY}{REPLY_LINE}\n\n" if index == 0 else ""
        segments.message("user", head + said).lines(lines)
    return segments


def tool_segments(segments: Segments, conversation: Conversation) -> Segments:
    """The tools and the instructions, up to the first request."""
    segments.mark("<|im_start|>user\n").text(f"Tools:\n{tool_lines(conversation.tools)}\n\n")
    if conversation.system:
        segments.text(f"Instructions: {conversation.system[:2000]}\n\n")
    return segments


def conversation_segments(segments: Segments, conversation: Conversation) -> Segments:
    """Every turn, up to the place where the next call or `reply` is written (before `{"name": "`)."""
    for index, turn in enumerate(conversation.turns):
        if index:
            segments.mark("<|im_start|>user\n")
        segments.text(f"Request: {turn.user}").mark("<|im_end|>\n")
        _steps(segments, turn)
        if turn.answer is not None:
            segments.lines([compact({"name": REPLY, "text": _cut(turn.answer, MAX_ANSWER)})])
    return segments.mark("<|im_start|>assistant\n")


def _steps(segments: Segments, turn: Turn) -> None:
    for step in turn.steps:
        segments.lines([call_line(call) for call in step.calls])
        results = "\n".join(f"{call.name}: {_cut(call.result or 'no result', MAX_RESULT)}" for call in step.calls)
        segments.message("user", f"Results:\n{results}")


def call_line(call: Call) -> str:
    """A finished call, as the decider writes it."""
    return f"{call_head(call.name)} {call.arguments}}}"


def call_head(name: str) -> str:
    """A call up to the space before its arguments object (the space belongs to the next token)."""
    return f'{OPEN}{name}", "arguments":'


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …"
