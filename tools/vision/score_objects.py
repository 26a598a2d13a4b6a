#!/usr/bin/env python3
"""What captions invent, and how yes/no questions about objects are answered.

    score_objects.py chair COCO.jsonl NAME=captions.jsonl...
    score_objects.py pope COCO.jsonl OBJECTS.json --duet BINARY NAME=OPTIONS... [--pictures 50]

COCO.jsonl holds {"image", "captions", "objects"} a line; captions.jsonl is what `duet caption --json` printed.

`chair` counts objects that a caption names and neither the picture's list nor its captions have (CHAIR,
arXiv 1809.02156), with the synonyms below. `pope` asks `duet caption --question "Is there a … in the picture?"
--choices yes,no` about three objects that are there and three that are not: drawn at random, the most frequent
ones, and those that most often go together with what is there (arXiv 2305.10355). OPTIONS are those of
`duet caption` that choose the model, such as "--vision v.gguf --adapter a.gguf". Intervals are 95 % bootstraps over
pictures; differences from the first are paired. Standard library only.
"""
import argparse
import collections
import json
import random
import re
import shlex
import subprocess
from pathlib import Path

SAMPLES = 2000
SYNONYMS = {
    "airplane": "plane jet aircraft airliner", "apple": "", "backpack": "rucksack knapsack", "banana": "",
    "baseball bat": "bat", "baseball glove": "mitt glove", "bear": "", "bed": "", "bench": "",
    "bicycle": "bike cyclist biker", "bird": "duck pigeon seagull gull goose parrot owl", "boat": "ship canoe kayak raft sailboat",
    "book": "", "bottle": "", "bowl": "", "broccoli": "", "bus": "", "cake": "", "car": "van jeep taxi automobile", "carrot": "",
    "cat": "kitten", "cell phone": "cellphone phone smartphone", "chair": "", "clock": "watch", "couch": "sofa", "cow": "bull calf cattle",
    "cup": "mug", "dining table": "table", "dog": "puppy", "donut": "doughnut", "elephant": "", "fire hydrant": "hydrant", "fork": "",
    "frisbee": "disc", "giraffe": "", "hair drier": "hairdryer", "handbag": "purse", "horse": "pony", "hot dog": "hotdog",
    "keyboard": "", "kite": "", "knife": "", "laptop": "notebook", "microwave": "", "motorcycle": "motorbike motorcyclist", "mouse": "",
    "orange": "", "oven": "stove", "parking meter": "", "person": "man woman boy girl child kid baby people men women children kids lady guy "
    "player rider skater skateboarder surfer skier snowboarder toddler crowd worker athlete climber cyclist biker runner swimmer",
    "pizza": "", "potted plant": "plant houseplant", "refrigerator": "fridge", "remote": "", "sandwich": "burger", "scissors": "",
    "sheep": "lamb", "sink": "basin", "skateboard": "", "skis": "ski", "snowboard": "", "spoon": "", "sports ball": "ball football soccer basketball",
    "stop sign": "", "suitcase": "luggage", "surfboard": "", "teddy bear": "teddy", "tennis racket": "racket racquet", "tie": "necktie",
    "toaster": "", "toilet": "", "toothbrush": "", "traffic light": "stoplight", "train": "locomotive", "truck": "pickup lorry",
    "tv": "television monitor", "umbrella": "parasol", "vase": "", "wine glass": "glass", "zebra": "",
}  # fmt: skip
# Words of one object within the name of another, or that are colours and no objects.
NOT_IN = {"bear": ["teddy bear"], "dog": ["hot dog"], "orange": ["orange shirt", "orange jacket", "orange and"], "phone": ["microphone"]}


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def named(text):
    """Objects that a text names."""
    text, found = text.lower(), set()
    for name, words in SYNONYMS.items():
        for word in [name] + words.split():
            for match in re.finditer(rf"\b{re.escape(word)}(s|es)?\b", text):
                if not any(match.group(0) in phrase and phrase in text for phrase in NOT_IN.get(word, [])):
                    found.add(name)
    return found


def interval(values, statistic, seed=1):
    """95 % bootstrap over the pictures."""
    draw, n = random.Random(seed), len(values)
    samples = sorted(statistic([values[draw.randrange(n)] for _ in range(n)]) for _ in range(SAMPLES))
    return samples[int(0.025 * SAMPLES)], samples[int(0.975 * SAMPLES)]


def mean(values):
    return sum(values) / max(1, len(values))


def chair(options):
    truth = rows(options.references)
    names, per_picture = [], {}
    for argument in options.systems:
        name, path = argument.split("=", 1)
        found = {Path(row["file"]).name: row["caption"] for row in rows(path)}
        names.append(name)
        per_picture[name] = []
        for row in truth:
            there = set(row["objects"]) | set().union(*(named(c) for c in row["captions"]))
            said = named(found[Path(row["image"]).name])
            per_picture[name].append((len(said - there), len(said)))
    print("| captions | invented objects a caption | of the objects named | captions that invent |\n|---|---|---|---|")
    for name in names:
        values = per_picture[name]
        low, high = interval(values, lambda v: mean([i for i, _ in v]))
        share = sum(i for i, _ in values) / max(1, sum(n for _, n in values))
        print(f"| {name} | {mean([i for i, _ in values]):.2f} ({low:.2f} to {high:.2f}) | {share:.2f} | {mean([i > 0 for i, _ in values]):.2f} |")
    for name in names[1:]:
        pairs = [a[0] - b[0] for a, b in zip(per_picture[names[0]], per_picture[name])]
        low, high = interval(pairs, mean)
        print(f"{names[0]} less {name}: {mean(pairs):+.2f} invented objects a caption ({low:+.2f} to {high:+.2f})")


def questions(truth, objects, seed):
    """{kind: [(picture, object, is there)]}"""
    draw = random.Random(seed)
    often = collections.Counter(o for row in truth for o in row["objects"])
    together = collections.Counter((a, b) for row in truth for a in row["objects"] for b in row["objects"] if a != b)
    out = {"random": [], "popular": [], "adversarial": []}
    for number, row in enumerate(truth):
        there = sorted(row["objects"])
        absent = [o for o in objects if o not in row["objects"] and o not in set().union(*(named(c) for c in row["captions"]))]
        asked = draw.sample(there, min(3, len(there)))
        wrong = {
            "random": draw.sample(absent, len(asked)),
            "popular": sorted(absent, key=lambda o: (-often[o], o))[: len(asked)],
            "adversarial": sorted(absent, key=lambda o: (-sum(together[o, t] for t in there), o))[: len(asked)],
        }
        for kind, objects_ in wrong.items():
            out[kind] += [(number, o, True) for o in asked] + [(number, o, False) for o in objects_]
    return out


def auroc(results):
    yes = [p for p, there in results if there]
    no = [p for p, there in results if not there]
    wins = sum((a > b) + 0.5 * (a == b) for a in yes for b in no)
    return wins / max(1, len(yes) * len(no))


def ask(duet, arguments, folder, truth, wanted):
    """P(yes) by (picture, object); one call of the program for each object."""
    by_object = collections.defaultdict(set)
    for number, thing, _ in wanted:
        by_object[thing].add(number)
    answers = {}
    for thing, numbers in sorted(by_object.items()):
        numbers = sorted(numbers)
        article = "an" if thing[0] in "aeiou" else "a"
        command = [duet, "caption", *[str(folder / truth[n]["image"]) for n in numbers], "--json", "--question",
                   f"Is there {article} {thing} in the picture? Answer yes or no.", "--choices", "Yes,No", *arguments]  # fmt: skip
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for number, line in zip(numbers, output.splitlines()):
            answers[number, thing] = json.loads(line)["choices"]["Yes"]
    return answers


def pope(options):
    truth, objects = rows(options.references)[: options.pictures], json.loads(Path(options.objects).read_text())
    asked, folder = questions(truth, objects, options.seed), Path(options.references).parent
    wanted = [q for kind in asked.values() for q in kind]
    print("| model | questions | absent objects | accuracy | says yes | AUROC of P(yes) |\n|---|---|---|---|---|---|")
    for argument in options.systems:
        name, arguments = argument.split("=", 1)
        answers = ask(options.duet, shlex.split(arguments), folder, truth, wanted)
        for kind, rows_ in asked.items():
            by_picture = collections.defaultdict(list)
            for number, thing, there in rows_:
                by_picture[number].append((answers[number, thing], there))
            values = list(by_picture.values())

            def flat(v):
                return [x for part in v for x in part]

            def accuracy(v):
                return mean([(p > 0.5) == there for p, there in flat(v)])

            low, high = interval(values, accuracy)
            alow, ahigh = interval(values, lambda v: auroc(flat(v)))
            yes = mean([p > 0.5 for p, _ in flat(values)])
            print(f"| {name} | {len(rows_)} | {kind} | {accuracy(values):.2f} ({low:.2f} to {high:.2f}) | {yes:.2f} "
                  f"| {auroc(flat(values)):.2f} ({alow:.2f} to {ahigh:.2f}) |", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("chair")
    one.add_argument("references")
    one.add_argument("systems", nargs="+", metavar="NAME=FILE")
    one.set_defaults(run=chair)
    two = commands.add_parser("pope")
    two.add_argument("references")
    two.add_argument("objects")
    two.add_argument("systems", nargs="+", metavar="NAME=OPTIONS")
    two.add_argument("--duet", required=True)
    two.add_argument("--pictures", type=int, default=50)
    two.add_argument("--seed", type=int, default=1)
    two.set_defaults(run=pope)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
