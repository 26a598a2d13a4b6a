#!/usr/bin/env python3
"""Writes Sources/Runtime/Tokenizer/AccentTable.swift from the Unicode data that Python holds.

For every character but Hangul syllables: its canonical decomposition without nonspacing marks, where that
differs from the character itself.
"""

import os
import unicodedata

HEAD = '''// Written by tools/reference/make_accents.py from Unicode {version}; change that instead.

extension Accents {{
  /// What consecutive characters, the first of which is given, are without their accents.
  static let runs: [(first: UInt32, plain: String)] = [
{runs}
  ]

  /// Characters that are more than one without their accents.
  static let sequences: [(character: UInt32, plain: String)] = [
{sequences}
  ]
}}
'''


def plain(character):
    parts = unicodedata.normalize("NFD", character)
    return "".join(c for c in parts if unicodedata.category(c) != "Mn")


def literal(text):
    shown = (c if unicodedata.category(c)[0] in "LN" and ord(c) < 0x3000 else f"\\u{{{ord(c):x}}}" for c in text)
    return '"' + "".join(shown) + '"'


def wrapped(entries):
    lines, line = [], "   "
    for number, text in entries:
        item = f" (0x{number:x}, {literal(text)}),"
        if len(line) + len(item) > 112:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line])


def main():
    runs, sequences = [], []
    for number in range(0x80, 0x110000):
        character = chr(number)
        if 0xAC00 <= number <= 0xD7A3 or 0xD800 <= number <= 0xDFFF or unicodedata.category(character) == "Mn":
            continue
        text = plain(character)
        if text == character:
            continue
        if len(text) != 1:
            sequences.append((number, text))
        elif runs and runs[-1][0] + len(runs[-1][1]) == number and len(runs[-1][1]) < 10:
            runs[-1] = (runs[-1][0], runs[-1][1] + text)
        else:
            runs.append((number, text))
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.path.join(root, "Sources/Runtime/Tokenizer/AccentTable.swift")
    text = HEAD.format(version=unicodedata.unidata_version, runs=wrapped(runs), sequences=wrapped(sequences))
    open(path, "w", encoding="utf-8").write(text)


main()
