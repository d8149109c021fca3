#!/usr/bin/env python3
"""Compares Lapidary's speed with llama.cpp's CPU backend: the same GGUF file, the same number of threads, alternate runs.

    python3 -m venv venv && venv/bin/pip install llama-cpp-python     # builds llama.cpp for this machine's processor
    venv/bin/python tests/scripts/compare-llama.py MODEL.gguf [--lapidary target/release/lapidary]

Prints a table for tests/MEASUREMENTS.md: medians, with the smallest and largest value in brackets, and Lapidary's share of
llama.cpp. The speed of a shared machine varies within minutes. Because the two programs run alternately, their ratio varies less
than their speeds.
"""
import argparse, json, os, statistics, subprocess, time

PROMPT, GENERATE = 512, 64


def llama_run(llama, ids):
    llama.reset()
    started = time.perf_counter()
    llama.eval(ids)
    prefill = len(ids) / (time.perf_counter() - started)
    token = ids[0]
    started = time.perf_counter()
    for _ in range(GENERATE):
        llama.eval([token])
        scores = llama._ctx.get_logits()  # waits for the token and copies the logits, which greedy sampling reads
        token = ids[0] if scores is None else ids[1]
    return prefill, GENERATE / (time.perf_counter() - started)


def lapidary_run(program, model):
    out = subprocess.run([program, "bench", "-m", model, "-p", str(PROMPT), "-n", str(GENERATE), "-r", "1", "--json"],
                         check=True, capture_output=True, text=True).stdout
    result = json.loads(out)
    speed = lambda what: result[what]["tokens_per_s"]["median"]
    return result, speed("prefill"), speed("decode")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lapidary", default="target/release/lapidary")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    import llama_cpp
    llama = llama_cpp.Llama(options.model, n_ctx=1024, n_batch=512, n_threads=options.threads, n_threads_batch=options.threads,
                            verbose=False)
    ids = [2] + [(i * 7919 + 11) % 50_000 for i in range(PROMPT - 1)]
    llama_run(llama, ids)  # warms up
    speeds = {name: ([], []) for name in ("llama.cpp", "Lapidary")}
    for _ in range(options.rounds):
        result, *ours = lapidary_run(options.lapidary, options.model)
        for name, pair in (("llama.cpp", llama_run(llama, ids)), ("Lapidary", ours)):
            for speed, all_speeds in zip(pair, speeds[name]):
                all_speeds.append(speed)
    print(f"{result['model']} on {result['adapter']} ({result['driver']}), {options.threads} threads, "
          f"llama-cpp-python {llama_cpp.__version__}; tokens per second, {options.rounds} rounds\n")
    print(f"| | prefill({PROMPT}) | decode |\n|---|---|---|")
    for name, columns in speeds.items():
        print(f"| {name} | " + " | ".join(f"{statistics.median(c):.1f} ({min(c):.1f} to {max(c):.1f})" for c in columns) + " |")
    shares = [[ours / theirs for ours, theirs in zip(*pair)] for pair in zip(speeds["Lapidary"], speeds["llama.cpp"])]
    print("| share | " + " | ".join(f"{statistics.median(s):.3f} ({min(s):.3f} to {max(s):.3f})" for s in shares) + " |")


if __name__ == "__main__":
    main()
