#!/usr/bin/env python3
"""Draws the columns of an evaluation as bars.

usage: make_figure.py eval.json figure.svg [--rows base,free,grounded,routed]

Each column of eval.json gets a group of bars, one per row, with its 95 % interval. Standard library only.
"""

import argparse
import json
from pathlib import Path
from xml.sax.saxutils import escape

COLUMNS = ["grounding", "hard grounding", "conflict", "closed book", "instructions"]
COLOURS = ["#b8bec7", "#7a9cc6", "#e0a458", "#2b6cb0", "#69906b"]
BAR, GAP, HEIGHT, TOP, LEFT = 22, 26, 220, 46, 34


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--rows", default="base,free,grounded,routed")
    options = parser.parse_args()
    report = json.loads(options.evaluation.read_text(encoding="utf-8"))
    rows = {row["name"]: row["columns"] for row in report["rows"]}
    names = options.rows.split(",")
    highest = max(rows[name][column]["high"] for name in names for column in COLUMNS)
    scale = HEIGHT / (10 * (int(highest / 10) + 1))
    width = LEFT + len(COLUMNS) * (BAR * len(names) + GAP) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + 34}" '
             'font-family="system-ui, sans-serif" font-size="12">',
             f'<rect width="{width}" height="{TOP + HEIGHT + 34}" fill="#fff"/>']  # fmt: skip
    for value in range(0, int(HEIGHT / scale) + 1, 10):
        y = TOP + HEIGHT - value * scale
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{width}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666">{value}</text>')  # fmt: skip
    for index, name in enumerate(names):
        x = LEFT + 10 + 110 * index
        parts.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[index]}"/>'
                     f'<text x="{x + 18}" y="24" fill="#222">{escape(name)}</text>')  # fmt: skip
    for place, column in enumerate(COLUMNS):
        start = LEFT + GAP / 2 + place * (BAR * len(names) + GAP)
        for index, name in enumerate(names):
            found, x = rows[name][column], start + index * BAR
            top, middle = TOP + HEIGHT - found["mean"] * scale, x + BAR / 2
            low, high = (TOP + HEIGHT - found[end] * scale for end in ("low", "high"))
            parts.append(f'<rect x="{x + 1:.1f}" y="{top:.1f}" width="{BAR - 2}" height="{TOP + HEIGHT - top:.1f}" '
                         f'fill="{COLOURS[index]}"/><line x1="{middle:.1f}" y1="{low:.1f}" x2="{middle:.1f}" '
                         f'y2="{high:.1f}" stroke="#222"/>')  # fmt: skip
        parts.append(f'<text x="{start + BAR * len(names) / 2:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle" '
                     f'fill="#222">{column}</text>')  # fmt: skip
    options.figure.write_text("\n".join(parts + ["</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
