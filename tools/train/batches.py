"""Examples -> batches of tensors, packed end to end or sorted by length, in a fixed order."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from masks import Example

PACKING = ("packed", "sorted")


@dataclass
class Batch:
    """ids [rows, tokens]; rows and columns of the positions that predict something that counts, and what.

    The last token of an example predicts nothing, so it is not among the ids. Padding stands at the
    right, where no token that counts can attend to it.
    """

    ids: torch.Tensor
    positions: torch.Tensor | None  # restart at 0 where an example starts; None where rows are examples
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    tokens: int  # without padding

    @property
    def weight(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Batch":
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return Batch(**{**vars(self), **moved})


def places(examples: Sequence[Example], packed: bool) -> tuple[list[int], list[int], list[int]]:
    rows, columns, targets, start = [], [], [], 0
    for row, example in enumerate(examples):
        for index, weight in enumerate(example.weights):
            if weight:
                rows.append(0 if packed else row)
                columns.append(start + index - 1)
                targets.append(example.ids[index])
        start += len(example) - 1 if packed else 0
    return rows, columns, targets


def collate(examples: Sequence[Example], packed: bool, padding: int = 0) -> Batch:
    inputs = [example.ids[:-1] for example in examples]
    tokens = sum(map(len, inputs))
    rows, columns, targets = map(torch.tensor, places(examples, packed))
    if packed:
        ids = [[token for row in inputs for token in row]]
        positions = torch.tensor([[place for row in inputs for place in range(len(row))]])
    else:
        longest = max(map(len, inputs))
        ids = [row + [padding] * (longest - len(row)) for row in inputs]
        positions = None
    return Batch(torch.tensor(ids), positions, rows, columns, targets, tokens)


def packs(examples: Sequence[Example], budget: int) -> list[list[Example]]:
    """Examples in order, as many to a pack as its budget of tokens holds."""
    result, used = [], budget
    for example in examples:
        size = len(example) - 1
        if used + size > budget:
            result.append([])
            used = 0
        result[-1].append(example)
        used += size
    return result


def sorted_batches(examples: Sequence[Example], budget: int) -> list[list[Example]]:
    """Batches of like lengths; a batch with its padding keeps to the budget."""
    result: list[list[Example]] = []
    for example in sorted(examples, key=len):
        if not result or (len(result[-1]) + 1) * (len(example) - 1) > budget:
            result.append([])
        result[-1].append(example)
    return result


def epoch(examples: Sequence[Example], packing: str, budget: int, generator: random.Random | None) -> list[list[Example]]:
    """The batches of one pass over the examples, shuffled if there is a generator."""
    examples = list(examples)
    if generator:
        generator.shuffle(examples)
    batches = packs(examples, budget) if packing == "packed" else sorted_batches(examples, budget)
    if generator:
        generator.shuffle(batches)
    return batches


def endless(examples: Sequence[Example], packing: str, budget: int, seed: int | None) -> Iterator[list[Example]]:
    """Batches of one epoch after the other; a seed fixes their order, None keeps that of the file."""
    number = 0
    while True:
        generator = None if seed is None else random.Random(f"{seed} {number}")
        yield from epoch(examples, packing, budget, generator)
        number += 1
