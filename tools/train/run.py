"""A training run: its processes, its steps, its checkpoints."""

import argparse
import itertools
import json
import math
import os
import shutil
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin

import batches
import model as models
import schedule
from batches import Batch
from masks import Example


def accelerator(options: argparse.Namespace) -> Accelerator:
    """One process, or one of several that torchrun or accelerate launch started."""
    plugin = None
    if options.shard:
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, auto_wrap_policy="transformer_based_wrap", reshard_after_forward=True,
            state_dict_type="FULL_STATE_DICT", cpu_ram_efficient_loading=False)
    gpu = torch.cuda.is_available() and not options.cpu
    half = options.dtype == "bfloat16" or (options.dtype == "auto" and gpu)
    return Accelerator(cpu=not gpu, mixed_precision="bf16" if half else "no", fsdp_plugin=plugin)


class Run:
    """Holds what a step needs; every process runs the same steps on batches of its own."""

    def __init__(self, options: argparse.Namespace, accelerator: Accelerator, loss: models.SummedLoss,
                 examples: list[Example], heldout: list[Example]):
        self.options, self.accelerator = options, accelerator
        self.examples, self.heldout = examples, heldout
        optimiser = schedule.optimiser(loss, options.lr, options.weight_decay)
        self.loss, self.optimiser = accelerator.prepare(loss, optimiser)
        self.step, self.best, self.stale = 0, math.inf, 0
        self.folder = Path(options.checkpoints or f"{options.out}.checkpoints")
        accelerator.register_for_checkpointing(self)

    def state_dict(self) -> dict:
        return {"step": self.step, "best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict) -> None:
        self.step, self.best, self.stale = state["step"], state["best"], state["stale"]

    # Steps

    def train(self) -> None:
        """Runs the steps that are left; the order of batches follows from the seed and the step."""
        options, processes = self.options, self.accelerator.num_processes
        seed = None if options.keep_order else options.seed
        plan = batches.endless(self.examples, options.packing, options.batch_tokens, seed)
        size = options.accumulate * processes
        plan = itertools.islice(plan, self.step * size, None)
        self.loss.train()
        while self.step < options.steps:
            self.take_step(list(itertools.islice(plan, size)))
            if self.is_due(options.evaluate_every) and self.heldout and self.evaluate():
                return
            if self.is_due(options.save_every):
                self.save_checkpoint()

    def is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.options.steps

    def take_step(self, planned: list[list[Example]]) -> None:
        start, options = time.perf_counter(), self.options
        rate = schedule.rate(self.step, options.lr, options.warmup, options.steps)
        schedule.set_rate(self.optimiser, rate)
        total = sum(sum(example.weights) for rows in planned for example in rows)
        summed = self.backward(planned, total)
        norm = self.accelerator.clip_grad_norm_(schedule.trained(self.loss), options.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        loss = self.accelerator.reduce(summed, "sum").item() / total
        if not math.isfinite(loss):
            raise SystemExit(f"train.py: the loss of step {self.step} is {loss}; try a smaller --lr, or --resume")
        tokens = sum(len(example) - 1 for rows in planned for example in rows)
        self.report(step=self.step, loss=loss, rate=rate, gradient=float(norm), tokens=tokens,
                    tokens_per_s=tokens / (time.perf_counter() - start))

    def backward(self, planned: list[list[Example]], total: int) -> torch.Tensor:
        """Gradients of the mean over all that counts in the step; returns this process's sum of losses."""
        processes, own = self.accelerator.num_processes, self.accelerator.process_index
        mine = planned[own::processes]
        summed = torch.zeros((), device=self.accelerator.device)
        for index, rows in enumerate(mine):
            batch = self.batch(rows)
            if index + 1 < len(mine):
                with self.accelerator.no_sync(self.loss):
                    loss = self.loss(batch)
                    self.accelerator.backward(loss * processes / total)
            else:
                loss = self.loss(batch)
                self.accelerator.backward(loss * processes / total)  # gradients are averaged over processes
            summed += loss.detach()
        return summed

    def batch(self, rows: list[Example]) -> Batch:
        return batches.collate(rows, self.options.packing == "packed").to(self.accelerator.device)

    # Evaluation

    def evaluate(self) -> bool:
        """Measures the held-out loss; returns whether it has not got better for too long."""
        loss = self.heldout_loss()
        self.stale = 0 if loss < self.best else self.stale + 1
        if loss < self.best:
            self.best = loss
        self.report(step=self.step, heldout=loss)
        patience = self.options.patience
        return patience is not None and self.stale >= patience

    @torch.no_grad()
    def heldout_loss(self) -> float:
        self.loss.eval()
        planned = batches.epoch(self.heldout, self.options.packing, self.options.batch_tokens, None)
        processes = self.accelerator.num_processes
        padded = planned + [planned[-1]] * (-len(planned) % processes)  # every process takes as many
        summed = torch.zeros((), device=self.accelerator.device)
        for index in range(self.accelerator.process_index, len(padded), processes):
            loss = self.loss(self.batch(padded[index]))
            summed += loss if index < len(planned) else 0
        self.loss.train()
        weight = sum(sum(example.weights) for example in self.heldout)
        return self.accelerator.reduce(summed, "sum").item() / weight

    def report(self, **values: float) -> None:
        if not self.accelerator.is_main_process:
            return
        line = json.dumps(values)
        print(line, flush=True)
        if self.options.metrics:
            with open(self.options.metrics, "a", encoding="utf-8") as out:
                out.write(line + "\n")

    # Files

    def save_checkpoint(self) -> None:
        """Written beside its place and renamed; the one before it goes only then."""
        if not self.options.out:
            return
        partial, final = self.folder / "partial", self.folder / f"step-{self.step}"
        if self.accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
            for older in self.saved()[:-1]:
                shutil.rmtree(older)
        self.accelerator.wait_for_everyone()

    def saved(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))

    def resume(self) -> None:
        if not (found := self.saved()):
            raise SystemExit(f"train.py: {self.folder} holds no checkpoint to resume from")
        self.accelerator.load_state(str(found[-1]))
        print(f"resumed at step {self.step}", file=sys.stderr)

    def save(self) -> None:
        """The adapter as a PEFT folder, or the model as a Hugging Face folder."""
        if not self.options.out:
            return
        state = self.accelerator.get_state_dict(self.loss)
        if self.accelerator.is_main_process:
            model = self.accelerator.unwrap_model(self.loss).model
            state = {name.removeprefix("model."): value for name, value in state.items()}
            out = Path(self.options.out)
            partial = out.with_name(out.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            model.save_pretrained(partial, state_dict=state)
            shutil.rmtree(out, ignore_errors=True)
            os.replace(partial, out)
        self.accelerator.wait_for_everyone()
