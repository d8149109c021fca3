#!/usr/bin/env python3
"""Distils the guide into a smaller student, and measures whether the teacher's probabilities teach more than its text does.

    venv/bin/python distil.py questions      # writes questions.jsonl: questions without answers
    lapidary batch questions.jsonl -o replies.jsonl -m guide --top-logprobs 20 --safetensors replies.safetensors --max-tokens 200
    venv/bin/python distil.py train          # trains and evaluates the students; writes distillation.json and distillation.png

The files are in target/distil of the repository, if --folder does not say otherwise. Each seed trains three students. They begin
with the same weights and see the same questions in the same order, in as many steps. Only what they learn differs:

    probabilities   the teacher's answers; at each token, its 20 most probable tokens and the probability of all others together
    text            the teacher's answers, each token as the only right one
    corpus          the answers in the corpus, each token as the only right one

A student answers one question: it sees no dialogues of several turns. Model, tokenizer, optimizer and the rule by which an answer
is right are those of train.py. A student whose figures are in the folder is not trained again, so a training that was interrupted
goes on with the student it was at.
"""
import argparse, json, random, time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import Gemma2Config, Gemma2ForCausalLM

import corpus
import train

HERE = Path(__file__).parent
QUESTIONS_SEED = 408
TOP = 20  # as in the command line above
CONFIG = train.CONFIG | dict(hidden_size=128, intermediate_size=384, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1)
TARGETS = dict(probabilities="the teacher's probabilities", text="the teacher's text", corpus="the corpus")
GROUPS = dict(patterns="made from\npatterns", written="written out", off_topic="off-topic")


def draw_questions(count):
    """Questions of the training split, each with the corpus' answer; always the same. None equals a held-out one."""
    topics, off = corpus.load()
    held = [p for topic in topics for p in corpus.chosen_by_hash(topic)[1]] + off["held_out"] + off["other_languages"]["held_out"]
    held, drawn, dialogues = {corpus.in_full(p) for p in held}, {}, corpus.Dialogues(QUESTIONS_SEED)
    while len(drawn) < count:
        question, answer = dialogues.draw(1)[0]
        if corpus.in_full(question) not in held:
            drawn.setdefault(question, answer)
    return list(drawn.items())


def write_questions(options):
    """A line per question."""
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(dict(messages=[dict(role="user", content=question)])) + "\n" for question, _ in draw_questions(options.questions)]
    (options.folder / "questions.jsonl").write_text("".join(lines))


class Lessons:
    """What the students learn from: each question's prompt with the teacher's and the corpus' answer, in ids; and for every token
    of the teacher's answers the most probable ids with their log-probabilities, [tokens, TOP]. Each answer begins at a row there."""

    def __init__(self, options, tokenizer):
        encoder, questions, taught = train.Encoder(tokenizer), draw_questions(options.questions), load_file(options.folder / "replies.safetensors")
        assert taught["lines"][:len(questions)].tolist() == list(range(1, len(questions) + 1)), "some questions have no answer"
        assert taught["top_tokens"].shape[1] == TOP, f"the replies were not made with --top-logprobs {TOP}"
        self.top_ids, self.top_logs = taught["top_tokens"].long(), taught["top_logprobs"]
        self.lessons, self.cut, self.same = [], 0, 0
        for row, (question, answer) in enumerate(questions):
            prompt, (first, end) = encoder.prompt([], question), taught["offsets"][row:row + 2].tolist()
            assert taught["prompt_tokens"][row] == len(prompt), "these are replies to other questions; begin with an empty folder"
            said, answer = taught["tokens"][first:end].tolist(), encoder.ids(answer) + [train.END]
            if taught["ended"][row]:
                self.lessons.append((prompt, said, first, answer))
                self.same += said == answer
            else:
                self.cut += 1  # No student learns from an answer without an end.
        self.rows = torch.cat([torch.arange(first, first + len(said)) for _, said, first, _ in self.lessons])

    def batches(self, target, count, seed):
        """Endless batches of this many questions with their answers: ids, and of each token of an answer its row in the tables,
        -1 for other tokens; both [count, tokens]."""
        rng, queue = random.Random(seed), []
        while True:
            if len(queue) < count:
                queue = rng.sample(self.lessons, len(self.lessons))
            batch, queue = queue[:count], queue[count:]
            ids, rows = [], []
            for prompt, said, row, answer in batch:
                answer = answer if target == "corpus" else said
                ids.append(prompt + answer)
                rows.append([-1] * len(prompt) + list(range(row, row + len(answer))))
            yield padded(ids, train.PAD), padded(rows, -1)


def padded(lists, filler):
    longest = max(map(len, lists))
    return torch.tensor([each + [filler] * (longest - len(each)) for each in lists])


def cross_entropy(logits, top_ids, top_logs):
    """Of the teacher's distribution and the student's, over the TOP tokens and one bucket for all others: their KL divergence
    plus the teacher's entropy, which no student changes. Logits [n, vocabulary], the others [n, TOP]; the result [n]."""
    logs, chances = F.log_softmax(logits, dim=-1), top_logs.exp()
    rest = logs.scatter(-1, top_ids, float("-inf")).logsumexp(dim=-1)
    return -(chances * logs.gather(-1, top_ids)).sum(-1) - (1 - chances.sum(-1)).clamp(min=0) * rest


class HeldOut:
    """The turns of dialogues.json, each a dialogue of its own, with the teacher's log-probabilities for the tokens of the answers;
    and the questions to be answered: all that are written out or off-topic, and every fourth that is made from patterns."""

    def __init__(self, teacher, tokenizer):
        self.tokenizer, self.encoder, held = tokenizer, train.Encoder(tokenizer), corpus.evaluation()
        made = [(q["ask"], q["keys"]) for q in held["on_topic"] if not q["written"]][::4]
        written = [(q["ask"], q["keys"]) for q in held["on_topic"] if q["written"]]
        self.questions = dict(patterns=made, written=written, off_topic=[(q["ask"], corpus.REFUSAL) for q in held["off_topic"]])
        text, self.batches = json.loads((HERE / "dialogues.json").read_text()), []
        # A turn begins at <start_of_turn> and "user"; its answer follows the second <start_of_turn>, "model" and a newline.
        starts = [i for i, id in enumerate(text) if id == train.START]
        turns = []
        for user, model in zip(starts[::2], starts[1::2]):
            first = model + 1 + len(self.encoder.ids("model\n"))
            turns.append(([train.BOS] + text[user:first], text[first:text.index(train.END, first) + 1]))
        turns.sort(key=lambda turn: len(turn[0] + turn[1]))
        for at in range(0, len(turns), 48):
            part = turns[at:at + 48]
            ids = padded([prompt + answer for prompt, answer in part], train.PAD)
            chosen = padded([[0] * len(prompt) + [1] * len(answer) for prompt, answer in part], 0)[:, 1:].bool()
            self.batches.append((ids, chosen, self.log_probabilities(teacher, ids, chosen)))

    @staticmethod
    @torch.no_grad()
    def log_probabilities(model, ids, chosen):
        """Of what may stand in place of the chosen tokens: [tokens, vocabulary]."""
        return F.log_softmax(model(input_ids=ids[:, :-1]).logits[chosen].float(), dim=-1)

    def perplexity(self, model):
        """Perplexity of the answers, and the mean KL divergence from the teacher in nats per token."""
        model.eval()
        loss, divergence, count = 0.0, 0.0, 0
        for ids, chosen, taught in self.batches:
            mine, right = self.log_probabilities(model, ids, chosen), ids[:, 1:][chosen]
            loss += F.nll_loss(mine, right, reduction="sum").item()
            divergence += F.kl_div(mine, taught, reduction="sum", log_target=True).item()
            count += len(right)
        model.train()
        return dict(perplexity=float(np.exp(loss / count)), divergence=divergence / count, tokens=count)

    def right_answers(self, model):
        """Greedy answers that hold their topic's key terms, or refuse an off-topic question."""
        scores = {}
        for name, questions in self.questions.items():
            said = train.answers(model.eval(), self.tokenizer, [self.encoder.prompt([], ask) for ask, _ in questions])
            scores[name] = train.score([corpus.holds(answer, keys) for (_, keys), answer in zip(questions, said)])
        return scores


def learn(options, lessons, held, target, seed):
    """Trains and evaluates one student. Its figures."""
    torch.manual_seed(seed)
    model = Gemma2ForCausalLM(Gemma2Config(**CONFIG, attn_implementation="eager")).train()
    optimizer, curve, clock = train.optimizer_of(model), [], (time.time(), time.process_time())
    for step, (ids, rows) in zip(range(options.steps), lessons.batches(target, options.batch, seed)):
        rows = rows[:, 1:].reshape(-1)
        chosen = rows >= 0
        logits = train.logits_of(model, train.hidden_of(model.model, ids), chosen)
        if target == "probabilities":
            loss = cross_entropy(logits, lessons.top_ids[rows[chosen]], lessons.top_logs[rows[chosen]]).mean()
        else:
            loss = F.cross_entropy(logits, ids[:, 1:].reshape(-1)[chosen])
        train.descend(model, optimizer, loss, train.rate_at(step, options.steps, options.rate))
        if (step + 1) % max(1, options.steps // 12) == 0:
            curve.append((step + 1, round(held.perplexity(model)["perplexity"], 4)))
            print(f"{target} {seed}: step {step + 1}, loss {loss.item():.4f}, held-out perplexity {curve[-1][1]}, "
                  f"{time.time() - clock[0]:.0f} s, of processors {time.process_time() - clock[1]:.0f} s", flush=True)
    spent = dict(seconds=round(time.time() - clock[0]), processor_seconds=round(time.process_time() - clock[1]))
    folder = options.folder / f"{target}-{seed}"
    train.save(model, held.tokenizer, folder, CONFIG)
    model, _ = train.load(folder)  # What is measured is what was saved, in bf16.
    figures = dict(target=target, seed=seed, **spent, curve=curve, **held.perplexity(model), **held.right_answers(model))
    print(figures, flush=True)
    train.write(folder / "figures.json", figures)
    return figures


def run(options):
    teacher, tokenizer = train.load()
    lessons, held = Lessons(options, tokenizer), HeldOut(teacher, tokenizer)
    result = dict(parameters=sum(p.numel() for p in Gemma2ForCausalLM(Gemma2Config(**CONFIG)).parameters()),
                  questions=len(lessons.lessons), without_end=lessons.cut, as_in_corpus=lessons.same, answer_tokens=len(lessons.rows),
                  probability_of_top=float(lessons.top_logs[lessons.rows].exp().sum(-1).mean()), steps=options.steps, batch=options.batch, rate=options.rate,
                  teacher=held.perplexity(teacher), students=[])
    print(result, flush=True)
    for seed in options.seeds:
        for target in TARGETS:
            done = options.folder / f"{target}-{seed}" / "figures.json"
            result["students"].append(json.loads(done.read_text()) if done.exists() else learn(options, lessons, held, target, seed))
            train.write(options.results / "distillation.json", result)
    plot(result, options.results / "distillation.png")


def plot(result, path):
    """Held-out perplexity over the steps, and right answers at the end; a line and a point per student. Every second seed's line is
    dashed."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), dpi=100)
    for number, (target, name) in enumerate(TARGETS.items()):
        for again, student in enumerate(student for student in result["students"] if student["target"] == target):
            style = dict(color=f"C{number}", label=None if again else name)
            left.plot(*zip(*student["curve"]), "-" if again % 2 == 0 else "--", linewidth=1, **style)
            right.plot([at + 0.2 * (number - 1) for at in range(len(GROUPS))], [100 * student[group]["share"] for group in GROUPS], "o", markersize=4, **style)
    lowest = min(student["perplexity"] for student in result["students"])
    left.set_ylim(0.9 * lowest, 1.8 * lowest)  # The first steps are far above, and alike.
    left.set_xlabel("step"); left.set_ylabel("perplexity of held-out answers"); left.grid(alpha=0.3); left.legend()
    right.set_xticks(range(len(GROUPS)), GROUPS.values()); right.set_ylabel("right answers, %"); right.grid(alpha=0.3, axis="y")
    figure.tight_layout(); figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["questions", "train"])
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "target" / "distil", help="for questions, replies and students")
    parser.add_argument("--results", type=Path, default=HERE, help="for distillation.json and distillation.png")
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=32, help="questions per step")
    parser.add_argument("--rate", type=float, default=3e-3, help="the peak learning rate")
    options = parser.parse_args()
    write_questions(options) if options.part == "questions" else run(options)


if __name__ == "__main__":
    main()
