#!/usr/bin/env python3
"""Makes docs/captions.md: twelve COCO photos whose licences allow it, drawn by a fixed seed, and what duet says of them.

    make_page.py COCO.jsonl --duet BINARY [--docs docs] [--seed 1] [-- OPTIONS OF duet caption]

COCO.jsonl holds {"image", "license"} a line. The photos are copied into docs/captions. Standard library only.
"""
import argparse
import json
import random
import shutil
import subprocess
from pathlib import Path

# Licences under which a photo may stand in a repository as it is, and what they are called.
LICENCES = {
    "Attribution License": "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)",
    "Attribution-ShareAlike License": "[CC BY-SA 2.0](https://creativecommons.org/licenses/by-sa/2.0/)",
    "No known copyright restrictions": "no known copyright restrictions",
}
COUNT, COLUMNS = 12, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--duet", required=True)
    parser.add_argument("--docs", default="docs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in Path(arguments.rows).read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["license"] in LICENCES]
    rows = sorted(random.Random(arguments.seed).sample(rows, COUNT), key=lambda row: row["image"])
    folder = Path(arguments.docs) / "captions"
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        shutil.copyfile(Path(arguments.rows).parent / row["image"], folder / Path(row["image"]).name)
    files = [str(folder / Path(row["image"]).name) for row in rows]
    output = subprocess.run([arguments.duet, "caption", "--json", *arguments.options, *files], check=True,
                            capture_output=True, text=True).stdout  # fmt: skip
    captions = [json.loads(line)["caption"] for line in output.splitlines()]
    lines = [
        "# Captions",
        "",
        "Twelve photos of the COCO 2017 validation set whose licences allow it, drawn by a fixed seed and not chosen, as",
        "`duet caption` describes them. None of them, nor any like them, was trained on: the vision part knows Flickr8k's",
        "street, sports and animal scenes, and COCO has many kitchens and bathrooms.",
        "",
        "|" + " |" * COLUMNS,
        "|" + "---|" * COLUMNS,
    ]
    for start in range(0, COUNT, COLUMNS):
        cells = []
        for row, caption in list(zip(rows, captions))[start : start + COLUMNS]:
            name = Path(row["image"]).name
            cells.append(f"![{caption}](captions/{name})<br>{caption}<br><sub>COCO {int(name.split('.')[0])}, "
                         f"{LICENCES[row['license']]}</sub>")  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "    tools/vision/make_page.py coco.dev.jsonl --duet .build/release/duet", ""]
    (Path(arguments.docs) / "captions.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
