#!/usr/bin/env python3
"""Makes turns of which it is known whether their context helps, to train a router and to test it.

Rows are those of JSON Lines files with "instruction", "context" and perhaps "title" (the article);
training and test rows must come from different files. The kinds of turn:

  gold      a question with the passage that answers it
  other     the same with the best-matching passage (BM25) of another article
  near      the same with another passage of the same article, or an unanswerable question
  none      a question with no context
  pasted    the question and its passage in one message
  pasted-other   the same with the passage of "other"
  follow-up a question that leans on the one before, whose passage stands in the prompt
  language  the message around the passage is in another language

Phrases around passages differ between --split train and --split test.
"""
import argparse
import collections
import json
import math
import random
import re

WORD = re.compile(r"[^\W_]+")
COMMON = set(
    "a an and are as at be by can did do does for from had has have how i in is it its of on or that the their they"
    " this to was were what when where which who whom whose why will with would".split()
)

PASTED = {
    "train": [
        "{context}\n\n{question}",
        "{question}\n\n{context}",
        "Here is a text:\n\n{context}\n\n{question}",
        "{question} Use this: {context}",
        "Read this. {context} {question}",
    ],
    "test": [
        "I found the following online.\n\n{context}\n\nMy question: {question}",
        "{question}\n---\n{context}",
        "From a page I am reading: {context}\n{question}",
    ],
}
TASKS = {
    "train": ["Summarize the following text.", "What is this paragraph about?", "List the names in this passage."],
    "test": ["Give me a short summary of the article below.", "Which dates does this text give?"],
}
LANGUAGES = {
    "train": [
        "Beantworte die Frage mit diesem Text.\n\n{context}\n\n{question}",
        "Voici un texte.\n\n{context}\n\n{question}",
        "Lee este texto.\n\n{context}\n\n{question}",
    ],
    "test": [
        "Leggi il testo e rispondi.\n\n{context}\n\n{question}",
        "Lees deze tekst.\n\n{context}\n\n{question}",
        "Oto tekst.\n\n{context}\n\n{question}",
    ],
}
FOLLOW_UPS = {
    "train": ["Why is that?", "When did it happen?", "Who were they?", "Can you say more about it?"],
    "test": ["Where was that?", "What else does it say?", "And how did they do it?", "Tell me more about this."],
}


def words(text):
    return [w.lower() for w in WORD.findall(text)]


class Index:
    """BM25 (Robertson and Zaragoza 2009) over passages."""

    def __init__(self, passages):
        self.postings = collections.defaultdict(list)
        self.lengths = []
        for number, passage in enumerate(passages):
            counts = collections.Counter(words(passage))
            self.lengths.append(sum(counts.values()))
            for word, count in counts.items():
                self.postings[word].append((number, count))
        self.mean = sum(self.lengths) / max(1, len(self.lengths))

    def ranked(self, question):
        scores = collections.defaultdict(float)
        for word in sorted(set(words(question)) - COMMON):
            found = self.postings.get(word, [])
            rarity = math.log(1 + (len(self.lengths) - len(found) + 0.5) / (len(found) + 0.5))
            for number, count in found:
                scores[number] += rarity * count * 2.2 / (
                    count + 1.2 * (0.25 + 0.75 * self.lengths[number] / self.mean)
                )
        return sorted(scores, key=lambda number: (-scores[number], number))


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def article(row):
    return row.get("title") or row["id"]


def turns(rows, split, rng):
    """Every kind of turn that the rows of one file give."""
    with_context = [r for r in rows if r["context"] and r.get("answerable", True)]
    for row in rows:
        if not row["context"]:
            yield {"group": "none", "message": row["instruction"], "passages": [], "helps": False}
        elif not row.get("answerable", True):
            yield turn("near", row["instruction"], [row["context"]], False)
    passages = sorted({(r["context"], article(r)) for r in with_context})
    index = Index([text for text, _ in passages])
    for row in with_context:
        question = row["instruction"]
        others = (n for n in index.ranked(question) if passages[n][1] != article(row))
        other = next(others, None)
        if other is None:
            continue
        yield from about(row, question, passages[other][0], split, rng)
        near = [text for text, title in passages if title == article(row) and text != row["context"]]
        if near and rng.random() < 0.3:
            yield turn("near", question, [rng.choice(near)], False)


def about(row, question, other, split, rng):
    yield turn("gold", question, [row["context"]], True)
    yield turn("other", question, [other], False)
    kind = rng.random()
    if kind < 0.12:
        template = rng.choice(PASTED[split])
        yield turn("pasted", template.format(context=row["context"], question=question), [], True)
        yield turn("pasted-other", template.format(context=other, question=question), [], False)
    elif kind < 0.18:
        template = rng.choice(PASTED[split][:2])
        task = rng.choice(TASKS[split])
        yield turn("pasted", template.format(context=row["context"], question=task), [], True)
    elif kind < 0.24:
        template = rng.choice(LANGUAGES[split])
        yield turn("language", template.format(context=row["context"], question=question), [], True)
    elif kind < 0.32:
        follow = turn("follow-up", rng.choice(FOLLOW_UPS[split]), [], True)
        follow["previous"] = {"question": question, "passages": [row["context"]]}
        yield follow
    elif kind < 0.38:
        unrelated = turn("none", rng.choice(TASKS[split]).split(" ")[0] + " three ideas for dinner.", [], False)
        yield unrelated


def turn(group, message, passages, helps):
    return {"group": group, "message": message, "passages": passages, "helps": helps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="rows.jsonl")
    parser.add_argument("--split", choices=["train", "test"], required=True)
    parser.add_argument("--limit", type=int, default=2500, help="rows taken of each file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with open(options.output, "w", encoding="utf-8") as file:
        for path in options.files:
            rows = read(path)
            rng.shuffle(rows)
            for made in turns(rows[: options.limit], options.split, rng):
                # "near" is a matter of degree: it is reported, and not learnt from.
                if options.split == "test" or made["group"] != "near":
                    file.write(json.dumps(made, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
