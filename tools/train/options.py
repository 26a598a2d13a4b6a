"""The command line of train.py."""

import argparse

from arms import ARMS, PLACEMENTS
from batches import PACKING
from model import PROJECTIONS
from rows import REFUSAL


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(
        prog="train.py", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Trains a grounded, free or mixed tuning of a causal language model; run it directly, by "
                    "torchrun, or by accelerate launch.")
    main.add_argument("--base", required=True, help="GGUF file or Hugging Face folder")
    main.add_argument("--data", required=True, nargs="+", help="JSON-lines files of rows")
    main.add_argument("--out", help="folder for the adapter (PEFT) or the model (--method full)")
    add_rows(main.add_argument_group("rows"))
    add_training(main.add_argument_group("training"))
    add_running(main.add_argument_group("running"))
    return main


def add_rows(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--arm", choices=ARMS, default="grounded", help="what becomes of contexts")
    group.add_argument("--placement", choices=PLACEMENTS, default="user",
                       help="whether contexts stand in the user's turn, or before the response in the assistant's")
    group.add_argument("--system", help="a system message for every row (default: the template's own)")
    group.add_argument("--template", help="file of a chat template, for models without one")
    group.add_argument("--window", type=int, default=1024, help="longer rows are skipped")
    group.add_argument("--distractors", type=share, default=0.0, help="share of contexts with a second passage")
    group.add_argument("--unanswerable", type=share, default=0.0, help="share of contexts with only a wrong passage")
    group.add_argument("--refusal", default=REFUSAL, help="the response to these")
    group.add_argument("--limit", type=int, help="use only this many rows")
    group.add_argument("--print-masks", type=int, metavar="ROWS", help="print tokens with their loss weights, and stop")


def add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--method", choices=("lora", "full"), default="lora", help="what is trained")
    group.add_argument("--rank", type=int, default=16, help="of the adapter")
    group.add_argument("--alpha", type=float, default=32.0, help="changes are multiplied by alpha / rank")
    group.add_argument("--dropout", type=share, default=0.0, help="of the adapter's inputs")
    group.add_argument("--targets", default=",".join(PROJECTIONS), help="projections with an adapter")
    group.add_argument("--init-adapter", help="PEFT folder to start from")
    group.add_argument("--steps", type=int, default=200, help="of the optimiser")
    group.add_argument("--batch-tokens", type=int, default=2048, help="tokens of a batch on one process")
    group.add_argument("--accumulate", type=int, default=1, help="batches of a process in a step")
    group.add_argument("--packing", choices=PACKING, default="sorted", help="rows end to end, or batches of like lengths")
    group.add_argument("--lr", type=float, default=2e-4, help="peak rate")
    group.add_argument("--warmup", type=int, default=10, help="steps of rising rate")
    group.add_argument("--weight-decay", type=float, default=0.0, help="of matrices")
    group.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    group.add_argument("--seed", type=int, default=1, help="of the adapter, the order and dropout")
    group.add_argument("--keep-order", action="store_true", help="rows in the order of the file, not shuffled")


def add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--heldout", help="JSON-lines file to evaluate on")
    group.add_argument("--heldout-rows", type=int, default=200, help="rows of it that are used")
    group.add_argument("--evaluate-every", type=int, default=50, help="steps between evaluations")
    group.add_argument("--patience", type=int, help="stop after this many evaluations without a better loss")
    group.add_argument("--save-every", type=int, default=100, help="steps between checkpoints")
    group.add_argument("--checkpoints", help="folder for checkpoints (default: OUT.checkpoints)")
    group.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    group.add_argument("--metrics", help="file for a JSON line per step")
    group.add_argument("--threads", type=int, help="of the CPU")
    group.add_argument("--cpu", action="store_true", help="even where there is a GPU")
    group.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto",
                       help="of the arithmetic; auto is bfloat16 on a GPU")
    group.add_argument("--shard", action="store_true", help="spread weights over the processes (FSDP)")
    group.add_argument("--recompute", action="store_true", help="save memory: compute activations twice")


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("is not between 0 and 1")
    return value
