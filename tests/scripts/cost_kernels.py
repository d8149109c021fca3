"""What each kernel of a plan does: the bytes, instructions and waits of a dispatch, from its line in tests/plans, the text of the
kernel in shaders/wgsl and its figures in tests/KERNELS.md. Used by cost-model.py.
"""

import math
import re
from dataclasses import dataclass

# Bytes of 32 weights.
GROUP_BYTES = {"q4_0": 18, "q4_1": 20, "q5_0": 22, "q5_1": 24, "q8_0": 34, "q4_k": 18, "q5_k": 22, "q6_k": 26.25,
               "bf16": 64, "f16": 64, "f32": 128}
# Keys per tile of attention, and rows and columns per round of a product on matrices.
TILE = 64
# Bytes of a group of 32 activations as integers.
INT8_GROUP = 48

# Figures that tests/KERNELS.md does not have: subgroups that fit (on Apple threads) and instructions, per section. The first five
# are of kernels that were replaced, from `git show 417ac11:tests/KERNELS.md` and `git show 3a310a0:tests/KERNELS.md`; products on
# matrices had a tile of 64 tokens there.
# Mesa's driver for Apple has no matrices, so their figures there are guesses.
OTHER_FIGURES = {
    "matvec_int8.q4_0.subgroups of 417ac11": {"ampere": (36, 437), "navi31": (32, 417), "m1": (768, 1067)},
    "matmul_small.q4_0.int8.subgroups of 417ac11": {"ampere": (24, 942), "navi31": (24, 893), "m1": (384, 2262)},
    "gate_up_int8.q4_0.subgroups of 417ac11": {"ampere": (32, 1428), "navi31": (12, 1318), "m1": (768, 2099)},
    "attention.rows_2.kv_f16.split.subgroups": {"ampere": (12, 2827), "navi31": (12, 2046), "m1": (576, 2753)},
    "matmul_coop.q4_0.coop_16 of 64 tokens": {"ampere": (20, 3388), "navi31": (8, 1972), "m1": (384, 2500)},
    "matmul_coop.q4_0.coop_16": {"m1": (384, 2000)},
    "attention_coop.coop_16": {"m1": (384, 3000)},
}
# After the name of a kernel that has changed since that commit.
OLDER = " of 417ac11"
# The share of the text of a product on matrices that is its loop, a guess. NVK makes many instructions of a store of a matrix,
# after the loop.
LOOP_SHARE = {"ampere": 0.15, "navi31": 0.4, "m1": 0.3}


@dataclass
class Dispatch:
    """A line of a plan."""
    kernel: str
    grid: str
    values: dict
    times: int

    @property
    def name(self):
        return self.kernel.split(".")[0]

    def workgroups(self, tokens):
        """Workgroups of a step with so many tokens. A grid is like `[2T/8, 4]`, rounded up."""
        total = 1
        for part in self.grid.split(","):
            factor, token, divisor = re.fullmatch(r"(\d*)(T?)(?:/(\d+))?", part.strip()).groups()
            number = int(factor or 1) * (tokens if token else 1)
            total *= -(-number // int(divisor or 1))
        return total


def read_plans(text):
    """The plans of a snapshot by name, each a list of dispatches."""
    plans, plan, times = {}, None, 1
    for line in text.splitlines():
        if title := re.fullmatch(r"(.+): (\d+) dispatches", line):
            plan = plans.setdefault(title[1], [])
        elif segments := re.fullmatch(r"segments? ([\d, ]+):", line):
            times = len(segments[1].split(","))
        elif line.startswith("    "):
            kernel, grid, rest = re.fullmatch(r"    (\S+) \[([^]]+)\](.*)", line).groups()
            values = {key: float(value) for key, value in re.findall(r"(\w+)[=:]([-\d.e]+)", rest)}
            plan.append(Dispatch(kernel, grid, values, times))
    return plans


def read_figures(text):
    """`[section][kernel]`: how many subgroups fit, or on Apple threads, and instructions."""
    figures, section = {}, None
    for line in text.splitlines():
        if title := re.match(r"## (\w+): ", line):
            section = figures.setdefault(title[1], {})
        elif section is not None and (row := re.match(r"\| (\S+)[^|]*\| \d+ \| (\d+) \| (\d+) \|", line)):
            section.setdefault(row[1], (int(row[2]), int(row[3])))
    for kernel, sections in OTHER_FIGURES.items():
        for name, figure in sections.items():
            figures.get(name, {}).setdefault(kernel, figure)
    return figures


@dataclass
class Work:
    """What a dispatch does."""
    workgroups: int
    threads: int
    # Bytes of memory that are read for the first time in this step.
    memory: float = 0.0
    # Bytes through the L2 cache, by all workgroups together.
    cache: float = 0.0
    # Of one thread, one after the other: waits for memory, for the L2 cache and for the L1 cache, and instructions.
    memory_waits: float = 0.0
    cache_waits: float = 0.0
    hits: float = 0.0
    instructions: float = 0.0
    # Lines of the L1 cache that one workgroup looks up because its loads are scattered.
    lines: float = 0.0
    # Of one workgroup: floating-point operations on matrices, and wavefronts of its workgroup memory.
    matrix: float = 0.0
    wavefronts: float = 0.0
    # Useful floating-point operations of a product, all workgroups together.
    flop: float = 0.0
    # The kernel's figure: subgroups that fit a unit at once, on Apple threads; 0 where there is none.
    fits: int = 0


@dataclass
class Step:
    """A step: tokens, tokens of each sequence before it, and whether the tokens are of one sequence."""
    tokens: int
    depth: int
    prompt: bool = False
    # Invocations of a workgroup of products of one token or a small batch.
    width: int = 64

    def keys(self, window):
        """Keys that the last token attends to."""
        return min(self.depth + (self.tokens if self.prompt else 1), window)


def product_figure(figures, kernel):
    """Subgroups that fit, instructions of a group of 32 columns of two rows, and all other instructions. The text of the integer
    kernels has the group three times: two of a round, and one of the rest.
    """
    fits, text = figures.get(kernel, (32, 437))
    # Reduction, addresses and stores of a kernel without norms, by its text.
    plain = "matvec_int8." + kernel.split(".")[1] + ".subgroups" + OLDER * kernel.endswith(OLDER)
    group = (figures.get(plain, (32, 437))[1] - 110) / 3
    return fits, group, max(text - 3 * group, 110)


def work_of(dispatch, step, figures, section, unroll):
    """The work of a dispatch. `figures`: of all GPUs, of which the section counts. `unroll`: loads of a short loop that the
    compiler starts before it uses the first.
    """
    v, t, name, figures = dispatch.values, step.tokens, dispatch.name, figures[section]
    groups_of = dispatch.workgroups(t)

    def loop(loads):
        return math.ceil(loads / unroll)

    if name in ("matvec_int8", "norm_matvec_int8", "gate_up_int8", "matmul_small"):
        return small_product(dispatch, step, figures, loop)
    if name == "matmul_coop":
        return matrix_product(dispatch, step, figures, LOOP_SHARE[section])
    if name in ("attention_decode", "attention", "attention_coop"):
        return attention(dispatch, step, figures)
    if name == "attention_merge":
        tiles = math.ceil(step.keys(v["window"]) / TILE)
        count = min(v["splits"], tiles)
        cache = groups_of * count * (v["head_dim4"] + 1) * 16
        # The place of the token, two loads, and the splits eight at a time. Two loops over all splits in workgroup memory.
        if "older" in v:
            # Of 64 invocations, and eight splits at a time.
            return Work(groups_of, 64, cache=cache, cache_waits=3 + math.ceil(count / 8), instructions=250 + 16 * count)
        rounds = math.ceil(count / 32)
        return Work(groups_of, 256, cache=cache, cache_waits=3 + rounds, instructions=250 + 4 * count + 104 * rounds)
    if name in ("add_rms_norm", "rms_norm"):
        passes = {"add_rms_norm": 3, "rms_norm": 2}[name]
        loads = v["stride4"] / v["width"]
        rounded = "int8_out" in dispatch.kernel
        return Work(groups_of, int(v["width"]), cache=passes * 2 * t * v["stride4"] * 16,
                    cache_waits=(passes - 1) * loop(loads) + (2 if rounded else loop(loads)),
                    instructions=150 + 20 * passes * loads + (150 if rounded else 0))
    if name == "argmax":
        loads = v["stretch"] / 64
        return Work(groups_of, 64, cache=4 * v["vocab_size"], cache_waits=1 + loop(loads), instructions=150 + 10 * loads)
    if name == "logits":
        return Work(groups_of, 64, cache=8 * v["vocab_size"], cache_waits=1 + loop(16), instructions=60 + 16 * 30)
    if name == "embed":
        return Work(groups_of, 64, memory=t * v["groups"] * GROUP_BYTES[dispatch.kernel.split(".")[1]], memory_waits=1,
                    cache_waits=1, instructions=150)
    # The others: short kernels that go over the activations once.
    moved = {"quantize": v.get("groups", 0) * (128 + INT8_GROUP), "to_f16": v.get("eights", 0) * 48,
             "geglu": v.get("stride4", 0) * 48, "rope": v.get("stride", 0) * 8}.get(name)
    if moved is None and name not in ("argmax_merge",):
        raise SystemExit(f"no description of the kernel {dispatch.kernel}: add it to cost_kernels.py")
    return Work(groups_of, 64, cache=t * (moved or 0), cache_waits=2, instructions=150)


def small_product(dispatch, step, figures, loop):
    """Products of one token or a small batch of integers: workgroups of sixteen rows or thirty-two outputs, whose columns are
    split. A thread has two rows, and two groups of 32 columns in flight, or one with a small batch.
    """
    v, tokens, name = dispatch.values, step.tokens, dispatch.name
    # `gate_up_int8` came before `norm_matvec_int8` with `geglu`.
    geglu, small = name == "gate_up_int8" or ".geglu" in dispatch.kernel, name == "matmul_small"
    matrix_rows = v["rows"] * (2 if geglu else 1)
    memory = matrix_rows * v["groups"] * GROUP_BYTES[dispatch.kernel.split(".")[1]]
    workgroups = dispatch.workgroups(1)
    # The four sets of outputs of a workgroup divide its lanes. In `gate_up_int8` they took turns.
    turns = 4 if name == "gate_up_int8" else 1
    sets = 4 if geglu and turns == 1 else 2 if name == "norm_matvec_int8" else 1
    groups = math.ceil(v["groups"] / (step.width / sets / 8))
    kernel = dispatch.kernel + OLDER * ("older" in v)
    fits, group, others = product_figure(figures, kernel)
    work = Work(workgroups, step.width, memory, fits=fits, flop=2 * tokens * matrix_rows * 32 * v["groups"])
    work.cache = memory + workgroups * tokens * v["groups"] * INT8_GROUP
    # Ends of all splits are added: the wider, the more subgroups.
    others += 4 * step.width / 32
    if small:
        text = figures.get(kernel, (24, 942))[1]
        # Of eight tokens: the weights once, the products and sums of each.
        each = max(text - 110 - 8 * 25 - 50, 400) / 8
        work.instructions = 110 + 25 * tokens + groups * (50 + each * tokens)
        work.memory_waits, work.hits = groups, groups * tokens
        return work
    work.instructions = others + turns * groups * group
    work.memory_waits = turns * math.ceil(groups / 2)
    work.hits = turns * math.ceil(groups / 2)
    if name in ("norm_matvec_int8", "gate_up_int8"):
        # Two norms before the product, which each workgroup computes for itself.
        vec4s = v["cols"] / 4
        work.cache += workgroups * 4 * 16 * vec4s
        passes = 2 * loop(vec4s / step.width)
        work.cache_waits = passes + loop((vec4s if name == "norm_matvec_int8" else v["groups"]) / step.width)
    return work


def matrix_product(dispatch, step, figures, loop_share):
    """Products on cooperative matrices. The tile of tokens is in the grid; tiles of older kernels had 32 columns per round."""
    v, tokens = dispatch.values, step.tokens
    tile = int(dispatch.grid.rsplit("/", 1)[1])
    columns = 64 if tile == 128 else 32
    fits, text = figures[dispatch.kernel + ("" if tile == 128 else " of 64 tokens")]
    rounds = math.ceil(32 * v["groups"] / columns)
    memory = v["rows"] * v["groups"] * GROUP_BYTES[dispatch.kernel.split(".")[1]]
    work = Work(dispatch.workgroups(tokens), 128, memory, fits=fits, flop=2 * tokens * v["rows"] * 32 * v["groups"])
    # Every tile reads its weights and activations: f16 today, f32 before.
    across = math.ceil(tokens / tile)
    work.cache = across * memory + v["rows"] / 64 * across * tile * 32 * v["groups"] * (2 if tile == 128 else 4)
    work.matrix = rounds * 2 * 64 * tile * columns
    # Outside of the loop, the first columns are loaded and the tile is stored.
    work.instructions = text * (0.3 + rounds * loop_share)
    # Wavefronts of a round, all four subgroups: 24 loads and 12 stores of 16 bytes a lane; before, about 130 of 4 and 2 bytes.
    work.wavefronts = rounds * 4 * (36 * 4 if tile == 128 else 130 * tile / 64)
    work.memory_waits, work.cache_waits = 1, rounds
    return work


def attention(dispatch, step, figures):
    """Attention over a cache of f16: a step of sequences (`attention_decode`, `attention` with `split`) or of a prompt."""
    v, tokens, kernel = dispatch.values, step.tokens, dispatch.kernel
    dim = int(v.get("head_dim", 4 * v.get("head_dim4", 0)))
    keys = step.keys(v["window"])
    tiles = math.ceil(keys / TILE)
    sequences = 1 if step.prompt else tokens
    memory = sequences * keys * dim * 4 * v["kv_heads"]
    fits, text = figures.get(kernel, (12, 2500))
    part = dim / 256
    if dispatch.name == "attention_decode" or ".split" in kernel:
        splits = min(v["splits"], tiles)
        per_workgroup = math.ceil(tiles / v["splits"])
        workgroups = dispatch.workgroups(tokens) * splits / v["splits"]
        work = Work(math.ceil(workgroups), 256, memory, cache=memory + workgroups * 2 * dim * 4, fits=fits)
        # The step, the sequence's place, its page; queries and angles.
        work.cache_waits = 4
        if dispatch.name == "attention_decode":
            # All loads of a tile at once. Half of what is done for it does not depend on the head's width.
            work.memory_waits = per_workgroup
            work.instructions = text * (0.4 + (0.3 + 0.3 * part) * per_workgroup)
        else:
            # One key a lane, eight loads of it at a time; then values, eight keys at a time.
            work.threads, work.memory_waits = 64, 8 * part * per_workgroup
            work.instructions = text * (0.33 + 0.67 * part * per_workgroup)
            work.lines = per_workgroup * dim / 8 * 2 * 32
        return work
    workgroups = dispatch.workgroups(tokens)
    # On average a token of the chunk attends to half of the chunk.
    keys = min(step.depth + tokens / 2, v["window"])
    tiles = math.ceil(keys / TILE) + 1
    if dispatch.name == "attention_coop":
        work = Work(workgroups, 256, memory, cache=workgroups * keys * dim * 4, fits=fits)
        work.matrix = 4 * 32 * tiles * TILE * dim
        work.cache_waits, work.instructions = 3 + 2 * part * tiles, text * (0.5 + 0.4 * tiles)
        return work
    # Eight rows: a load of a key or value is used by all rows before the next one starts.
    work = Work(workgroups, 64, memory, cache=workgroups * keys * dim * 4, fits=fits)
    work.cache_waits = tiles * 64 * part
    work.instructions = text * 0.4 + tiles * (500 + 5500 * part)
    return work
