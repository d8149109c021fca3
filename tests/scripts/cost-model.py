#!/usr/bin/env python3
"""Predicts the speed of Gemma-2 in q4_0 on five GPUs, from the plans in tests/plans and the figures in tests/KERNELS.md.

Prints markdown tables: decode of one and several sequences, products of a prompt, and whether targets are met. A dispatch takes
the gap between dispatches, a start, and what its workgroups wait for, issue, read from memory and from the L2 cache, and multiply
on matrices, as far as these do not overlap. The sum over a plan is a step. One set of constants per GPU serves all models. Those
of the H200 were measured, or fitted to the measured rows of tests/MEASUREMENTS.md; the others are from data sheets, or guessed.

--check       compares what the H200 should do with what was measured there, and fails where decode is off by more than 10 % or
              something else by more than 20 %
--self-test   compares bytes and times of small plans with numbers computed by hand
--plans       a folder with other snapshots. Kernels are taken to be as they are now
--before      a folder with older snapshots; cells then have both. Kernels are taken to be as they were at 417ac11 or before. Those
              before the kernels of attention and of products on matrices were replaced:
              mkdir -p target/before && git archive 3a310a0 tests/plans | tar -x -C target/before
              tests/scripts/cost-model.py --before target/before/tests/plans
--dispatches  the microseconds of every dispatch of a token of this model after 2,048, by what they are spent on
"""

import argparse
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

sys.dont_write_bytecode = True
from cost_devices import DEVICES, H200, guessed  # noqa: E402
from cost_kernels import Dispatch, Step, Work, read_figures, read_plans, work_of  # noqa: E402

TESTS = Path(__file__).resolve().parent.parent
MODELS = ("2b", "9b", "27b")
DEPTHS = (256, 2048, 6144)
STREAMS = (1, 8, 32)
PROMPT = 512
# The most that --check accepts, of what was measured. Decode is what the constants of the H200 were fitted to.
TOLERANCE, DECODE_TOLERANCE = 0.20, 0.10


# GPU, model, share of the data sheet's bandwidth in decode after 2,048 tokens.
TARGETS = (("RTX 4090", "2b", 0.62), ("RTX 4090", "9b", 0.75), ("RTX 4090", "27b", 0.80), ("H100", "9b", 0.50),
           ("H100", "27b", 0.68))
# GPU, TFLOP/s of the products of a prompt.
PREFILL_TARGET = ("RTX 4090", 90)


def lines(plan, step, figures, device):
    """Dispatch, its work, microseconds: of each line of a plan."""
    for dispatch in plan:
        work = work_of(dispatch, step, figures, device.section, device.unroll)
        yield dispatch, work, device.time(work)


def total(plan, step, figures, device):
    """Microseconds of a plan, and bytes that it reads from memory."""
    us = read = 0
    for dispatch, work, time in lines(plan, step, figures, device):
        us += dispatch.times * time
        read += dispatch.times * work.memory
    return us, read


def decode_plan(plans, streams):
    """What a token of each of so many sequences takes; `None` for several of old snapshots, from before there were batches."""
    if streams == 1:
        return plans["decode"] + plans["greedy head"]
    small, logits = (plans.get(f"{what} of a small batch of sequences") for what in ("decode", "logits"))
    if not small or not logits:
        return None
    # A token is chosen for one sequence after the other.
    choice = [replace(d, times=streams) for d in plans["greedy head"][2:]]
    if streams <= 8:
        return small + logits + choice
    # There is no snapshot of more sequences. They take the products of a prompt, with the attention of a small batch.
    attention = {(d.name, d.values["window"]): d for d in small if "window" in d.values}
    body = []
    for d in plans["prefill"]:
        if "window" in d.values:
            pair = (attention[name, d.values["window"]] for name in (split_name(attention), "attention_merge"))
            body += [replace(part, times=d.times) for part in pair]
        elif d.name != "rope":
            body.append(d)
    product = next(d for d in body if d.name == "matmul_coop")
    head = logits[-1].values
    tile = product.grid.rsplit("/", 1)[1]
    head_product = Dispatch(product.kernel, f"{math.ceil(head['rows'] / 64)}, T/{tile}", head, 1)
    return body + [d for d in body if d.name == "to_f16"][:1] + [head_product] + choice


def split_name(attention):
    return next(name for name, _ in attention if name != "attention_merge")


def decode(plans, streams, depth, figures, device):
    """Tokens per second of all sequences, and the share of the data sheet's bandwidth. As tuning does, it takes the fastest width
    of workgroups. `None` where weights and cache do not fit or there is no plan.
    """
    plan = fits(plans, streams, depth, device) and decode_plan(plans, streams)
    if not plan:
        return None
    us, read = min(total(plan, Step(streams, depth, width=width), figures, device) for width in (64, 128, 256))
    return 1e6 * streams / us, read / us / (device.memory * 1e3)


def fits(plans, streams, depth, device):
    """Whether weights and cache fit, with a twentieth to spare."""
    used = 0
    for d in plans["decode"] + plans["greedy head"]:
        if "kv_heads" in d.values:
            used += d.times * streams * depth * 16 * d.values["head_dim4"] * d.values["kv_heads"]
        elif "rows" in d.values and d.name != "embed":
            used += d.times * work_of(d, Step(1, depth), {"": {}}, "", 1).memory
    return used < 0.95e9 * device.size


def prefill(plans, depth, chunk, figures, device):
    """Tokens per second of a prompt, and TFLOP/s of its products."""
    us = flop = products = 0
    for start in range(0, PROMPT, chunk):
        for dispatch, work, time in lines(plans["prefill"], Step(chunk, depth + start, prompt=True), figures, device):
            us += dispatch.times * time
            if work.flop:
                flop += dispatch.times * work.flop
                products += dispatch.times * time
    return 1e6 * PROMPT / us, flop / products / 1e6


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_devices():
    rows = [[d.name, str(d.units), f"{d.clock}", f"{d.memory:,}", f"{d.matrices:g}", f"{d.cache:,}", f"{d.memory_latency}",
             f"{d.cache_latency}", f"{d.gap}", d.source] for d in DEVICES]
    table(["GPU", "units", "GHz", "memory, GB/s", "matrices, TFLOP/s", "L2, GB/s", "latency of memory, µs", "of L2, µs",
           "gap, µs", "source"], rows)
    print(f"All: a read reaches {H200.read} of the data sheet's bandwidth (measured on the H200); start {H200.start} µs, "
          f"{H200.stall:g} cycles per dependent instruction, and an overlap of {H200.overlap} (fitted to decode on the H200).\n")


def print_tables(now, before, figures):
    """`now` and `before`: plans by model."""
    print_devices()

    def row(device, model, predict, depths, text):
        cells = [" → ".join(text(predict(plans[model], depth)) for plans in (before, now) if plans) for depth in depths]
        return [device.name, model.upper(), *cells]

    def speed(value):
        return f"{value[0]:,.0f} ({value[1]:.2f})" if value else "–"

    for streams in STREAMS:
        print(f"Decode of {streams} sequence{'s' * (streams > 1)}: tokens per second, of all together, and the share of the data "
              "sheet's bandwidth; – where weights and cache do not fit, or without a plan\n")
        rows = []
        for device in DEVICES:
            def predict(plans, depth):
                return decode(plans, streams, depth, figures, device)
            rows += [row(device, model, predict, DEPTHS, speed) for model in MODELS]
        table(["GPU", "model", *(f"after {depth:,} tokens" for depth in DEPTHS)], rows)
    print(f"A prompt of {PROMPT} tokens in one chunk: TFLOP/s of its products, and tokens per second with everything\n")
    rows = []
    for device in DEVICES:
        def predict(plans, depth):
            return prefill(plans, depth, PROMPT, figures, device)
        rows += [row(device, model, predict, (0, 6144), lambda value: f"{value[1]:,.0f}, {value[0]:,.0f}") for model in MODELS]
    table(["GPU", "model", "at the start", "after 6,144 tokens"], rows)
    print_targets(now, figures)


def print_targets(now, figures):
    print("Targets. The range of decode is with all waits half as long again, and a third shorter. That of products is also with "
          "limits that overlap less and more, because no product that matrices limit was measured\n")
    rows, devices = [], {device.name: device for device in DEVICES}

    def add(device, what, target, predict, form, least=None, most=None):
        low, predicted, high = (predict(guessed(device, *change)) for change in ((1.5, least), (1, None), (0.67, most)))
        verdict = "met" if predicted >= target else "missed"
        cells = [f"{target:{form}}", f"{predicted:{form}}", f"{low:{form}} to {high:{form}}", verdict]
        rows.append([f"{device.name}, {what}", *cells])

    for name, model, target in TARGETS:
        add(devices[name], f"{model.upper()}, decode after 2,048 tokens, share of bandwidth", target,
            lambda device: decode(now[model], 1, 2048, figures, device)[1], ".2f")
    name, target = PREFILL_TARGET
    for model in MODELS:
        add(devices[name], f"{model.upper()}, products of a prompt, TFLOP/s", target,
            lambda device: prefill(now[model], 0, PROMPT, figures, device)[1], ".0f", 1.2, 3)
    table(["what", "target", "predicted", "range", ""], rows)


# Kernels that were measured on the H200, for those that replaced them later.
MEASURED = {
    "attention_decode.rows_2.kv_f16": "attention.rows_2.kv_f16.split.subgroups",
    "attention_coop.coop_16": "attention.rows_8.kv_f16.subgroups",
}


def older(d):
    """The dispatch with the kernel as it was at 417ac11, where it has changed since."""
    return replace(d, values={**d.values, "older": 1})


def as_measured(plans):
    """The plans with the kernels that were measured: the dispatches of `git show 9696c25:tests/plans/gemma-2-2b.hardware.txt`. There,
    `logits` had more and smaller workgroups.
    """
    def apart(d):
        """A product without the norms that are fused into it now, and these before it."""
        if d.name != "norm_matvec_int8" or "geglu" in d.kernel:
            return [d]
        norm = {**d.values, "width": 256, "stride4": 8 * d.values["groups"]}
        product = replace(d, kernel=d.kernel.replace("norm_matvec", "matvec"), grid=f"{math.ceil(d.values['rows'] / 16)}")
        return [Dispatch("add_rms_norm.int8_out.subgroups", "T, 1", norm, d.times), product]

    def measured(d):
        if d.kernel == "attention_coop.coop_16":
            return replace(d, kernel=MEASURED[d.kernel], grid=d.grid.replace("/32", "/8"))
        if d.name == "norm_matvec_int8":
            return replace(d, kernel="gate_up_int8.q4_0.subgroups")
        if d.name in ("attention_decode", "attention_merge"):
            grid = d.grid.replace(f"{d.values['splits']:.0f}T", "32T")
            d = replace(d, grid=grid, values={**d.values, "splits": 32})
        if d.name == "matmul_coop":
            return replace(d, grid=d.grid.replace("/128", "/64"))
        return replace(d, kernel=MEASURED.get(d.kernel, d.kernel))
    return {name: [older(measured(part)) for d in plan if d.name != "to_f16" for part in apart(d)] for name, plan in plans.items()}


def measured_rows(text):
    """`(kind, depth)`: the measured values of the three models, and single values of the 2B by a name."""
    section = text.split("## On a GPU: NVIDIA H200")[1].split("\n## ")[0]
    number = r"([\d,.]+)"
    rows, kind, depth = {}, None, 0
    for line in section.splitlines():
        label, *cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 3 and label.endswith("after"):
            rows[kind, depth] = [float(cell.replace(",", "")) for cell in cells]
        elif len(cells) == 3:
            if found := re.match("decode|prefill", label):
                kind, depth = found[0], 0
            if found := re.search(rf"after {number} tokens", label):
                depth = int(found[1].replace(",", ""))
    for name, depth, pattern in (("attention", 2048, "attention of a token after 2,048"), ("merging", 2048, "merging its splits"),
                                 ("chunks of 512", 0, "chunks of 512 tokens instead")):
        if found := re.search(rf"{pattern}[^|]*\| [^|]+ \| {number} ", section):
            rows[name, depth] = [float(found[1].replace(",", ""))]
    return rows


def check(now, figures):
    """Prints the predictions for the H200 beside what was measured, and returns whether all are within the tolerance."""
    plans = {model: as_measured(now[model]) for model in MODELS}
    rows, good = [], True
    for (kind, depth), values in measured_rows((TESTS / "MEASUREMENTS.md").read_text()).items():
        for model, measured in zip(MODELS, values):
            # A prompt of 512 tokens came before, and half of the reply.
            step = Step(1, depth + PROMPT + 32, width=256)
            if kind == "decode":
                predicted = decode(plans[model], 1, step.depth, figures, H200)[0]
            elif kind == "prefill":
                predicted = prefill(plans[model], depth, 256, figures, H200)[0]
            elif kind == "chunks of 512":
                predicted = prefill(plans[model], 0, 512, figures, H200)[0]
            else:
                # All layers with timestamps, which add about 7 µs to each; the gap is not in them.
                name = {"attention": "attention", "merging": "attention_merge"}[kind]
                times = lines(plans[model]["decode"], step, figures, H200)
                predicted = sum(d.times * (us - H200.gap + 7) for d, _, us in times if d.name == name)
            off = predicted / measured - 1
            good &= abs(off) <= (DECODE_TOLERANCE if kind == "decode" else TOLERANCE)
            cells = [f"{measured:,.0f}", f"{predicted:,.0f}", f"{100 * off:+.0f} %"]
            rows.append([f"{kind}, after {depth:,} tokens", model.upper(), *cells])
    table(["H200", "model", "measured", "predicted", "off by"], rows)
    if len(rows) < 18:
        sys.exit(f"tests/MEASUREMENTS.md has {len(rows)} of the 18 values that were measured on the H200")
    return good


def self_test():
    """Compares bytes and times with numbers computed by hand."""
    plan = read_plans("""decode: 2 dispatches

segment 0:
    matvec_int8.q4_0.subgroups [2] width:64 rows=32 groups=16 first_out=0 quants←qkv weights out→qkv
segments 1, 2:
    attention_decode.rows_2.kv_f16 [32T, 4] heads=8 kv_heads=4 head_dim4=64 window=4096 splits=32 q←qkv out→partials
""")["decode"]
    figures = {"ampere": {"matvec_int8.q4_0.subgroups": (36, 437), "attention_decode.rows_2.kv_f16": (16, 1661)}}
    work = [work_of(d, Step(8, 99), figures, "ampere", 4) for d in plan]
    fast = replace(H200, units=1, memory=1000, read=1, gap=2, start=1, clock=1000, cache=1e9, memory_latency=0, cache_latency=0)
    pairs = {
        "how often": ([d.times for d in plan], [1, 2]),
        # 18 rows of a chunk of 9 tokens and 2 heads, 8 per workgroup, of 4 KV heads.
        "workgroups of a grid": (replace(plan[0], grid="2T/8, 4").workgroups(9), 3 * 4),
        "bytes of weights: 32 rows of 16 groups of 18 bytes": (work[0].memory, 9216),
        "operations: a multiplication and an addition of each weight and token": (work[0].flop, 2 * 8 * 32 * 512),
        "rounds: 16 groups, of which eight lanes have two at a time": (work[0].memory_waits, 1),
        "bytes of the cache: 100 keys and values of 256 numbers, 4 heads, 8 sequences": (
            work[1].memory, 100 * 256 * 2 * 2 * 4 * 8),
        "splits with keys: two tiles, of 4 heads and 8 sequences": (work[1].workgroups, 2 * 4 * 8),
        "a million bytes at 1,000 GB/s, and the gap and start": (round(fast.time(Work(1, 32, 1e6)), 6), 4),
        "three workgroups of 64 MFLOP on one unit of 611 TFLOP/s": (
            round(fast.parts(Work(3, 32, matrix=64e6))["matrices"], 4), 0.3142),
        # The layers' matrices of the 2B and its embedding, by their published shapes.
        "weights of the 2B": (
            total([d for d in decode_plan(load(TESTS / "plans")["2b"], 1) if d.name in ("matvec_int8", "norm_matvec_int8")],
                  Step(1, 0), read_figures((TESTS / "KERNELS.md").read_text()), H200)[1],
            (26 * 2304 * (4096 + 2048 + 3 * 9216) + 256000 * 2304) / 32 * 18),
    }
    for name, (found, right) in pairs.items():
        if found != right:
            sys.exit(f"{name}: {found}, by hand {right}")
    print(f"{len(pairs)} numbers are as computed by hand")


def load(folder):
    """The plans of GPUs, by model."""
    paths = {model: Path(folder) / f"gemma-2-{model}.hardware.txt" for model in MODELS}
    for path in paths.values():
        if not path.is_file():
            sys.exit(f"{path} is missing: name a folder with the snapshots of tests/plans")
    return {model: read_plans(path.read_text()) for model, path in paths.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--plans", default=TESTS / "plans")
    parser.add_argument("--before")
    parser.add_argument("--dispatches", choices=MODELS)
    arguments = parser.parse_args()
    figures = read_figures((TESTS / "KERNELS.md").read_text())
    now = load(arguments.plans)
    if arguments.self_test:
        self_test()
    if arguments.check and not check(now, figures):
        sys.exit("a prediction is off by more than the tolerance: mend the model, or measure the kernels again")
    if arguments.dispatches:
        for device in DEVICES:
            print(f"{device.name}\n")
            rows = []
            for d, work, us in lines(decode_plan(now[arguments.dispatches], 1), Step(1, 2048, width=256), figures, device):
                parts = ", ".join(f"{part} {time:.1f}" for part, time in device.parts(work).items() if time > 0.05)
                rows.append([d.kernel, str(d.times), f"{us:.1f}", parts])
            table(["dispatch", "times", "µs", "limits"], rows)
    elif not (arguments.check or arguments.self_test):
        before = {model: {name: [older(d) for d in plan] for name, plan in plans.items()}
                  for model, plans in load(arguments.before).items()} if arguments.before else None
        print_tables(now, before, figures)


if __name__ == "__main__":
    main()
