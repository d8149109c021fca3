#!/usr/bin/env python3
"""Measures how much guessed tokens speed up decoding: lapidary run with --speculate off and text, in turn.

A list of records and code with a pattern are continued greedily, and prose is drawn with a seed. Prints the median tokens per
second of each, and how many guessed tokens were right.
"""

import argparse
import json
import statistics
import subprocess

RECORDS = "\n".join(
    f'{{"id": {i}, "name": "sensor-{i}", "unit": "celsius", "enabled": true, "limits": {{"low": -20, "high": 85}}}}'
    for i in range(1, 7)
) + "\n"

CODE = '''class Shape:
    def __init__(self, color):
        self.color = color

class Circle(Shape):
    def __init__(self, color, radius):
        super().__init__(color)
        self.radius = radius

    def area(self):
        return 3.14159 * self.radius * self.radius

class Square(Shape):
    def __init__(self, color, side):
        super().__init__(color)
        self.side = side

    def area(self):
        return self.side * self.side

class Rectangle(Shape):
'''

PROSE = (
    "The lighthouse keeper had lived on the rock for thirty years, and in all that time only two visitors had come. "
    "The first was a painter who stayed for a summer. The second arrived on a winter night, and"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--program", default="target/release/lapidary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--how", nargs="+", default=["off", "text"], help="values of --speculate")
    arguments = parser.parse_args()
    greedy, drawn = ["--temperature", "0"], ["--temperature", "1", "--seed", "1"]
    for name, text, sampling in [("records", RECORDS, greedy), ("code", CODE, greedy), ("prose", PROSE, drawn)]:
        speeds = {how: [] for how in arguments.how}
        texts, guesses = {}, {}
        for _ in range(arguments.rounds):
            for how in arguments.how:
                command = [arguments.program, "run", "-m", arguments.model, "--raw", "--ignore-eos", "--json"]
                command += [*sampling, "--max-tokens", str(arguments.tokens), "--speculate", how, text]
                run = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                speeds[how].append(1e3 * (len(run["output_ids"]) - 1) / run["decode_ms"])
                texts[how] = run["output_ids"]
                guesses[how] = f"{run['right_guesses']} of {run['guessed_tokens']} right"
        first = arguments.how[0]
        for how in arguments.how:
            ratios = [a / b for a, b in zip(speeds[how], speeds[first])]
            same = "the same text" if texts[how] == texts[first] else "another text"
            print(
                f"{name:8} {how:8} {statistics.median(speeds[how]):6.2f} tokens/s, {statistics.median(ratios):.2f} times "
                f"({min(ratios):.2f} to {max(ratios):.2f}), {guesses[how]}, {same}",
                flush=True,
            )


if __name__ == "__main__":
    main()
