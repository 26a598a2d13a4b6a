#!/usr/bin/env python3
"""Trains the tunings of a pair with PyTorch, on CPUs, GPUs or several machines. See README.md."""

import argparse
import sys

import torch
from accelerate.utils import set_seed
from peft import PeftModel

import data
import masks
import model as models
import options as command_line
import run as running


def tuned(options: argparse.Namespace, base) -> models.SummedLoss:
    """The base with what is trained of it."""
    if options.method == "full":
        return models.SummedLoss(base)
    if options.init_adapter:
        return models.SummedLoss(PeftModel.from_pretrained(base, options.init_adapter, is_trainable=True))
    projections = tuple(options.targets.split(","))
    return models.SummedLoss(models.with_adapter(base, options.rank, options.alpha, options.dropout, projections))


def print_masks(examples: list[masks.Example], tokenizer, count: int) -> None:
    print("\n\n".join(masks.show(example, tokenizer) for example in examples[:count]))


def main() -> None:
    options = command_line.parser().parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    accelerator = running.accelerator(options)
    set_seed(options.seed)
    base, tokenizer = models.load_base(options.base, torch.float32)
    encoder = data.encoder(options, tokenizer)
    examples, skipped = data.examples(options, encoder, options.data, options.limit, disturb=True)
    if options.print_masks:
        print_masks(examples, tokenizer, options.print_masks)
        return
    heldout, unheld = data.examples(options, encoder, [options.heldout], options.heldout_rows,
                                    disturb=False) if options.heldout else ([], {})
    if accelerator.is_main_process:
        data.report("train", examples, skipped)
        if heldout:
            data.report("held out", heldout, unheld)
    loss = tuned(options, base)
    if options.recompute:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    run = running.Run(options, accelerator, loss, examples, heldout)
    if options.resume:
        run.resume()
    run.train()
    run.save()
    if accelerator.num_processes > 1:
        accelerator.end_training()


if __name__ == "__main__":
    try:
        main()
    except (masks.TemplateError, OSError) as error:
        sys.exit(f"train.py: {error}")
