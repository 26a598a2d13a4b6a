"""Rows of a JSON-lines file: {"id", "instruction", "context", "response", "answers"?} or {"messages"}."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REFUSAL = "The text does not say."


@dataclass(frozen=True)
class Row:
    """A question with its answer and, where there is one, the text that it is answered from."""

    id: str
    instruction: str
    context: str
    response: str
    answerable: bool = True  # whether the context holds the answer; otherwise the response refuses


@dataclass(frozen=True)
class ChatRow:
    """A conversation; every assistant turn is a response."""

    id: str
    messages: tuple[tuple[str, str], ...]  # (role, content)


class BadRow(Exception):
    """Why a line cannot be trained on; counted, not fatal."""


def text(record: dict, key: str) -> str:
    value = record.get(key) or ""
    if not isinstance(value, str):
        raise BadRow(f"{key} is no text")
    return value.strip()


def chat_row(record: dict, name: str) -> ChatRow:
    messages = record["messages"]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRow("messages is no list of objects")
    turns = tuple((text(message, "role"), text(message, "content")) for message in messages)
    if not any(role == "assistant" for role, _ in turns):
        raise BadRow("no assistant turn")
    if any(role == "assistant" and not content for role, content in turns):
        raise BadRow("empty response")
    return ChatRow(name, turns)


def row(record: dict, name: str, refusal: str) -> Row:
    response = text(record, "response")
    refuses = not response and record.get("answerable") is False
    if not response and not refuses:
        raise BadRow("empty response")
    instruction = text(record, "instruction")
    if not instruction:
        raise BadRow("no instruction")
    return Row(name, instruction, text(record, "context"), refusal if refuses else response, not refuses)


def parse(line: str, number: int, refusal: str) -> Row | ChatRow:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise BadRow("invalid JSON") from error
    if not isinstance(record, dict):
        raise BadRow("no JSON object")
    name = str(record.get("id", number))
    return chat_row(record, name) if record.get("messages") is not None else row(record, name, refusal)


def load(path: str | Path, refusal: str = REFUSAL) -> tuple[list[Row | ChatRow], Counter]:
    """The rows of a file in order, and how many lines were skipped for which reason."""
    rows, skipped = [], Counter()
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                rows.append(parse(line, number, refusal))
            except BadRow as reason:
                skipped[str(reason)] += 1
    return rows, skipped
