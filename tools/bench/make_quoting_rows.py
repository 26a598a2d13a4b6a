#!/usr/bin/env python3
"""Rows that teach a model to answer with the paragraph that holds the answer: what `duet bench --documents` asks for.

    make_quoting_rows.py squad.train.jsonl --output rows.jsonl

A row is a conversation: a text of neighbouring paragraphs of one article, a question about one of them, and that
paragraph, word for word. Texts are a third short, a third twice, a third four times as long. The articles are not
those of squad.dev.jsonl.
"""

import argparse
import collections
import json
import random

INSTRUCTION = "Copy the whole paragraph of the text that answers the question, word for word."


def paragraphs_by_title(path):
    articles = collections.OrderedDict()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            paragraphs = articles.setdefault(row["title"], collections.OrderedDict())
            paragraphs.setdefault(row["context"], []).append(row["instruction"])
    return articles


def make_row(paragraphs, characters, random_source):
    """A stretch of an article, at least `characters` long where it is, and a question about a paragraph of it."""
    texts = list(paragraphs)
    start = random_source.randrange(len(texts))
    stretch = []
    while start < len(texts) and sum(map(len, stretch)) < characters:
        stretch.append(texts[start])
        start += 1
    answer = random_source.choice([text for text in stretch if len(text) < 900] or stretch)
    question = random_source.choice(paragraphs[answer])
    return {
        "messages": [
            {"role": "system", "content": "Text: " + "\n\n".join(stretch)},
            {"role": "user", "content": f"{INSTRUCTION}\n\nQuestion: {question}"},
            {"role": "assistant", "content": answer},
        ]
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="JSON lines with title, context and instruction")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    random_source = random.Random(arguments.seed)
    try:
        articles = list(paragraphs_by_title(arguments.data).values())
    except OSError as error:
        raise SystemExit(f"{arguments.data}: {error.strerror}") from None
    with open(arguments.output, "w", encoding="utf-8") as output:
        for index in range(arguments.rows):
            characters = (1_600, 3_200, 6_400)[index % 3]
            row = make_row(random_source.choice(articles), characters, random_source)
            output.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
