"""Conversations -> token ids with one loss weight each, exactly.

The text is what the model's chat template makes of the messages. It is cut where a response starts,
and the pieces are encoded separately, so that the prompt is encoded as it is at inference, where it
ends there. Names of control tokens inside of messages stay ordinary text. A response counts up to and
including the token that ends the turn; headers, system, user and context tokens do not.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase
from tokenizers import processors

from arms import Chat, Message

GUARD = "\ufdd0"  # a noncharacter, put into names of control tokens within messages, and taken out again


class TemplateError(Exception):
    """The chat template cannot be trained with."""


@dataclass(frozen=True)
class Example:
    id: str
    ids: list[int]
    weights: list[int]  # 1 where predicting this token counts

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """Encodes conversations for one tokenizer and its chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        if tokenizer.chat_template is None:
            raise TemplateError("the model has no chat template; give one with --template")
        self.tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer
        self.backend.encode_special_tokens = True  # control tokens are found below, outside of messages alone
        self.adds_beginning = bool(getattr(tokenizer, "add_bos_token", False))
        self.backend.post_processor = processors.ByteLevel(trim_offsets=False)
        added = tokenizer.added_tokens_decoder
        self.control = {token.content: index for index, token in added.items() if token.special}
        names = sorted(self.control, key=len, reverse=True)
        self.names = re.compile("|".join(map(re.escape, names)))
        self.ends = self.end_tokens()

    def end_tokens(self) -> set[int]:
        """Tokens that end a turn: the tokenizer's own, and those by these names."""
        names = ["<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>", "<eos>"]
        known = {self.control[name] for name in names if name in self.control}
        return known | ({self.tokenizer.eos_token_id} - {None})

    def guarded(self, content: str) -> str:
        return self.names.sub(lambda name: name[0][0] + GUARD + name[0][1:], content)

    def render(self, messages: list[dict], prompt: bool) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)

    def encode(self, chat: Chat) -> Example:
        """Linear in the length of the text, for each assistant turn."""
        messages = [{"role": m.role, "content": self.guarded(m.content)} for m in chat.messages]
        text = self.render(messages, prompt=False)
        starts, counted = self.spans(chat.messages, messages, text)
        ids, weights = [], []
        for index, (start, end) in enumerate(zip([0, *starts], [*starts, len(text)])):
            tokens = self.tokens(text[start:end], start)
            self.check_end(tokens, index)
            ids += [token for token, _, _ in tokens]
            weights += self.weights(tokens, is_response=index > 0, counted=counted)
        return self.example(chat.id, ids, weights)

    def spans(self, chat: Iterable[Message], messages: list[dict], text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Where responses start in the text, and which other characters of it count."""
        starts, counted, at = [], [], 0
        for index, (message, rendered) in enumerate(zip(chat, messages)):
            content = rendered["content"]
            if message.role == "assistant":
                at = max(at, common_prefix(text, self.render(messages[:index], prompt=True)))
            at = text.find(content, at)
            if at < 0:
                raise TemplateError(f"the template rewrites what the {message.role} says")
            if message.role == "assistant":
                starts.append(at + len(self.guarded(message.content[:message.lead])))
            if message.counted:
                first, last = (len(self.guarded(message.content[:edge])) for edge in message.counted)
                counted.append((at + first, at + last))
            at += len(content)
        return starts, counted

    def tokens(self, piece: str, offset: int) -> list[tuple[int, int, int]]:
        """(id, first character, end) of each token; control tokens only where the template has them."""
        found, at = [], 0
        for name in self.names.finditer(piece):
            found += self.plain(piece[at:name.start()], offset + at)
            found.append((self.control[name[0]], offset + name.start(), offset + name.end()))
            at = name.end()
        return found + self.plain(piece[at:], offset + at)

    def plain(self, text: str, offset: int) -> list[tuple[int, int, int]]:
        if not text:
            return []
        places = [offset + index for index, character in enumerate(text) if character != GUARD]
        encoding = self.backend.encode(text.replace(GUARD, ""), add_special_tokens=False)
        return [(token, places[first], places[last - 1] + 1) if last > first else (token, offset, offset)
                for token, (first, last) in zip(encoding.ids, encoding.offsets)]

    def check_end(self, tokens: list[tuple[int, int, int]], index: int) -> None:
        if index > 0 and not any(token in self.ends for token, _, _ in tokens):
            raise TemplateError("the template ends a response with no end-of-turn token")

    def weights(self, tokens: list[tuple[int, int, int]], is_response: bool, counted: list[tuple[int, int]]) -> list[int]:
        answering, weights = is_response, []
        for token, first, last in tokens:
            in_context = any(first < end and last > start for start, end in counted)
            weights.append(int(answering or in_context))
            answering = answering and token not in self.ends
        return weights

    def example(self, name: str, ids: list[int], weights: list[int]) -> Example:
        beginning = self.tokenizer.bos_token_id
        if self.adds_beginning and beginning is not None and ids[:1] != [beginning]:
            ids, weights = [beginning, *ids], [0, *weights]
        last = max((index for index, weight in enumerate(weights) if weight), default=-1)
        return Example(name, ids[:last + 1], [0, *weights[1:last + 1]])


def common_prefix(one: str, other: str) -> int:
    for index, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return index
    return min(len(one), len(other))


def encode_all(chats: Iterable[Chat], encoder: Encoder, window: int) -> tuple[list[Example], Counter]:
    """What fits the window, in order, and how much was skipped."""
    examples, skipped = [], Counter()
    for chat in chats:
        example = encoder.encode(chat)
        if len(example) > window:
            skipped["longer than the window"] += 1
        else:
            examples.append(example)
    return examples, skipped


def show(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """One line a token: its loss weight, its id and its text."""
    lines = [f"{example.id}: {len(example)} tokens, {sum(example.weights)} in the loss"]
    for token, weight in zip(example.ids, example.weights):
        lines.append(f"{weight} {token:>7} {tokenizer.convert_ids_to_tokens(token)}")
    return "\n".join(lines)
