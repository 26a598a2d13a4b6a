"""The arms of the comparison: what a row becomes for each of them.

grounded            context in the prompt, the loss on the response alone
grounded-unmasked   the same, the context in the loss too
free                the same rows with the context removed
mixed               every other row grounded, the others free

After "Instruction Tuning with and without Context", arXiv 2506.15480.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rows import REFUSAL, BadRow, ChatRow, Row

ARMS = ("grounded", "free", "mixed", "grounded-unmasked")
PLACEMENTS = ("user", "assistant")
SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Message:
    role: str
    content: str
    lead: int = 0  # characters of an assistant's content that stand before the response
    counted: tuple[int, int] | None = None  # characters of the content, beside the response, in the loss


@dataclass(frozen=True)
class Chat:
    id: str
    messages: tuple[Message, ...]


def with_context(row: Row, placement: str, counted: bool) -> tuple[Message, ...]:
    if placement == "assistant":
        before = row.context + SEPARATOR
        span = (0, len(row.context)) if counted else None
        return Message("user", row.instruction), Message("assistant", before + row.response, len(before), span)
    start = len("Text: ")
    span = (start, start + len(row.context)) if counted else None
    question = f"Text: {row.context}{SEPARATOR}Question: {row.instruction}"
    return Message("user", question, counted=span), Message("assistant", row.response)


def without_context(row: Row) -> tuple[Message, ...]:
    return Message("user", row.instruction), Message("assistant", row.response)


def turns(row: Row, arm: str, grounded: bool, placement: str) -> tuple[Message, ...]:
    """The messages of a row; a refusal for want of an answer in the context is no answer without one."""
    if grounded and row.context:
        return with_context(row, placement, counted=arm == "grounded-unmasked")
    if arm.startswith("grounded"):
        raise BadRow("no context")
    if not row.answerable:
        raise BadRow("unanswerable without a context")
    return without_context(row)


def chats(rows: Sequence[Row | ChatRow], arm: str, placement: str = "user", system: str | None = None,
          disturbed: Sequence[Row | ChatRow] | None = None) -> tuple[list[Chat], Counter]:
    """The conversations of an arm in the order of its rows, and how many rows it has no use for.

    `disturbed` are the same rows as they are to be shown with context.
    """
    found, skipped = [], Counter()
    head = (Message("system", system),) if system else ()
    for index, row in enumerate(rows):
        if isinstance(row, ChatRow):
            found.append(Chat(row.id, tuple(Message(role, content) for role, content in row.messages)))
            continue
        grounded = arm.startswith("grounded") or (arm == "mixed" and index % 2 == 0)
        shown = disturbed[index] if grounded and disturbed else row
        try:
            found.append(Chat(row.id, head + turns(shown, arm, grounded, placement)))
        except BadRow as reason:
            skipped[str(reason)] += 1
    return found, skipped


def other_context(row: Row, contexts: Sequence[str], generator: random.Random) -> str | None:
    others = [context for context in generator.sample(contexts, min(8, len(contexts))) if context != row.context]
    return others[0] if others else None


def disturbed(rows: Sequence[Row | ChatRow], distractors: float, unanswerable: float, seed: int,
              refusal: str = REFUSAL) -> list[Row | ChatRow]:
    """Rows of which a share has a second passage in its context, and a share only a wrong one.

    A row with only a wrong passage is answered by `refusal`.
    """
    generator = random.Random(seed)
    contexts = sorted({row.context for row in rows if isinstance(row, Row) and row.context})
    result = []
    for row in rows:
        draw = generator.random()
        other = other_context(row, contexts, generator) if isinstance(row, Row) and row.context else None
        if other and draw < unanswerable:
            row = replace(row, context=other, response=refusal, answerable=False)
        elif other and draw < unanswerable + distractors:
            passages = [row.context, other]
            generator.shuffle(passages)
            row = replace(row, context=SEPARATOR.join(passages))
        result.append(row)
    return result
