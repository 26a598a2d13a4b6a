#!/usr/bin/env python3
"""Records how well captions agree with others by CIDEr-D (pycocoevalcap 1.2), for the tests of training.

    record_agreement.py > Tests/TrainerTests/Fixtures/agreement.json
"""

import json

from pycocoevalcap.cider.cider_scorer import CiderScorer

PICTURES = [
    (["A dog runs over the grass.", "A brown dog is running on grass.", "The dog runs fast."],
     ["A dog runs over the grass", "a dog", "A brown dog is running on the grass in the park with a ball"]),
    (["Two boys play with a ball.", "Two children are playing football."],
     ["Two boys are playing football.", "Two boys play with a ball and a"]),
    (["A woman in a red coat stands in the snow.", "A woman is standing in snow."],
     ["A woman a woman a woman in the snow", "Snow", ""]),
    (["A man's bicycle leans against a wall."], ["A bicycle leans against a wall", "The cat sleeps"]),
    (["A dog jumps into the water.", "The dog is in the water.", "A wet dog swims."],
     ["A dog is in the water", "A dog runs over the grass"]),
]


def words(caption: str, ends: bool) -> str:
    letters = "".join(c if c.isalnum() else " " for c in caption.lower())
    return " ".join(letters.split() + (["."] if ends else []))


def main() -> None:
    # Each round scores one caption of every picture, so that counts of pictures are always of the same references.
    rounds = [
        [(captions[index % len(captions)], ends) for _, captions in PICTURES]
        for index in range(max(len(captions) for _, captions in PICTURES)) for ends in (True, False)
    ]
    cases = {}
    for captions in rounds:
        scorer = CiderScorer(n=4, sigma=6.0)
        for (references, _), caption in zip(PICTURES, captions):
            scorer += (words(*caption), [words(reference, True) for reference in references])
        for number, (caption, score) in enumerate(zip(captions, scorer.compute_score()[1])):
            cases[number, *caption] = float(score)
    print(json.dumps({
        "references": [references for references, _ in PICTURES],
        "cases": [
            {"picture": number, "caption": caption, "ends": ends, "score": score}
            for (number, caption, ends), score in sorted(cases.items())
        ],
    }, indent=1))


main()
