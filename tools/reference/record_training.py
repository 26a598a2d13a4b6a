#!/usr/bin/env python3
"""A LoRA training run in PyTorch, from an adapter and rows that `duet train` starts from too.

record   chooses short rows of a JSON-lines file, makes an adapter (PEFT folder, and GGUF), and trains it
         on the rows in their order without dropout; keeps rows, adapters and losses in a folder, and
         prints the command for Duet
compare  the losses of each step, and the logits of the two final adapters over one model

Base weights are the dequantised ones of the file, everything in fp32. Versions: see requirements.txt
beside this file.

usage: record_training.py record MODEL.gguf ROWS.jsonl FOLDER [--steps 50] [--rows 4]
       record_training.py compare MODEL.gguf FOLDER --adapter duet.gguf --metrics duet.metrics.jsonl
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

import lora_gguf

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/train"))

import arms  # noqa: E402
import batches  # noqa: E402
import masks  # noqa: E402
import model as training  # noqa: E402
import rows  # noqa: E402
import schedule  # noqa: E402

RANK, ALPHA, RATE, WARMUP, CLIP = 16, 32, 5e-4, 5, 1.0
LONGEST = 160  # tokens of a row: short ones make more steps in a minute
COMPARED = 12  # rows after those trained on, whose logits are compared


def short_examples(path, encoder, count):
    """(lines of the file, their examples), grounded, that are short"""
    lines, examples = [], []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        (chat,), _ = arms.chats([rows.parse(line, 0, rows.REFUSAL)], "grounded")
        example = encoder.encode(chat)
        if len(example) <= LONGEST:
            lines.append(line)
            examples.append(example)
        if len(examples) == count:
            return lines, examples
    raise SystemExit(f"{path} has {len(examples)} rows of up to {LONGEST} tokens, where {count} are needed")


def command(arguments, folder):
    return (f"duet train --base {arguments.model} --data {folder}/rows.jsonl --arm grounded --out {folder}/duet.gguf "
            f"--initial {folder}/initial.gguf --no-shuffle --batch {arguments.rows} --steps {arguments.steps} "
            f"--lr {RATE} --warmup {WARMUP / arguments.steps} --rank {RANK} --alpha {ALPHA} --clip {CLIP} --force")


def save(model, path):
    state = {name: value for name, value in get_peft_model_state_dict(model).items()}
    base = model.get_base_model()
    lora_gguf.write(path, base.config.model_type.removesuffix("_text"), ALPHA,
                    lora_gguf.tensors(state, base.config, base.config.model_type.removesuffix("_text")))


def train(loss_model, examples, arguments):
    optimiser = schedule.optimiser(loss_model, RATE, 0.0)
    for step in range(arguments.steps):
        schedule.set_rate(optimiser, schedule.rate(step, RATE, WARMUP, arguments.steps))
        batch = batches.collate(examples[step * arguments.rows:(step + 1) * arguments.rows], packed=False)
        loss = loss_model(batch) / batch.weight
        loss.backward()
        torch.nn.utils.clip_grad_norm_(schedule.trained(loss_model), CLIP)
        optimiser.step()
        optimiser.zero_grad()
        print(f"step {step + 1}: {loss.item():.6f}", file=sys.stderr, flush=True)
        yield loss.item()


def record(arguments):
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    base, tokenizer = training.load_base(arguments.model, torch.float32)
    used = arguments.steps * arguments.rows
    lines, examples = short_examples(arguments.data, masks.Encoder(tokenizer), used + COMPARED)
    (folder / "rows.jsonl").write_text("\n".join(lines[:used]) + "\n", encoding="utf-8")
    torch.manual_seed(3)
    model = training.with_adapter(base, RANK, ALPHA, 0.0)
    model.save_pretrained(folder / "initial")
    save(model, folder / "initial.gguf")
    print(command(arguments, folder))
    losses = list(train(training.SummedLoss(model), examples, arguments))
    model.save_pretrained(folder / "final")
    save(model, folder / "final.gguf")
    compared = [example.ids for example in examples[used:]]
    (folder / "record.json").write_text(json.dumps({"losses": losses, "compared": compared}) + "\n")


@torch.inference_mode()
def logits(model, path, sequences):
    """Float64 logits of all positions, with the adapter of a GGUF file"""
    state, _ = lora_gguf.read(path, model.get_base_model().config, model.get_base_model().config.model_type)
    outcome = set_peft_model_state_dict(model, state)
    if outcome.unexpected_keys:
        raise SystemExit(f"{path}: unknown tensors {outcome.unexpected_keys}")
    return torch.cat([model(input_ids=torch.tensor([ids])).logits[0].double() for ids in sequences])


def compare(arguments):
    folder = Path(arguments.folder)
    kept = json.loads((folder / "record.json").read_text())
    lines = [json.loads(line) for line in Path(arguments.metrics).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    worst = max(abs(own - theirs) / theirs for own, theirs in zip(losses, kept["losses"], strict=True))
    print(f"losses of {len(losses)} steps: largest relative difference {worst:.2e}")
    base, _ = training.load_base(arguments.model, torch.float32)
    model = training.with_adapter(base, RANK, ALPHA, 0.0).eval()
    first, theirs, own = (logits(model, path, kept["compared"]) for path in (
        folder / "initial.gguf", folder / "final.gguf", arguments.adapter))
    cosine = torch.nn.functional.cosine_similarity(own, theirs, dim=1)
    print(f"logits of {len(own)} positions: cosine mean {cosine.mean():.7f}, least {cosine.min():.7f}")
    change = torch.nn.functional.cosine_similarity((own - first).flatten(), (theirs - first).flatten(), dim=0)
    print(f"what training changed in them: cosine {change:.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    commands = parser.add_subparsers(required=True)
    recorder = commands.add_parser("record")
    recorder.add_argument("model")
    recorder.add_argument("data")
    recorder.add_argument("folder")
    recorder.add_argument("--steps", type=int, default=50)
    recorder.add_argument("--rows", type=int, default=4, help="of a step")
    recorder.set_defaults(run=record)
    comparer = commands.add_parser("compare")
    comparer.add_argument("model")
    comparer.add_argument("folder")
    comparer.add_argument("--adapter", required=True, help="the GGUF adapter that Duet trained")
    comparer.add_argument("--metrics", required=True, help="its JSON lines")
    comparer.set_defaults(run=compare)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
