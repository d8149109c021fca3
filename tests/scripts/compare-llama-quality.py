#!/usr/bin/env python3
"""Compares the quality loss of weight formats in Lapidary and in llama.cpp. Each takes the same GGUF file as it is, or
dequantizes it to f32 and quantizes it again.

    python3 -m venv venv && venv/bin/pip install llama-cpp-python     # builds llama.cpp for this machine's processor
    venv/bin/python tests/scripts/compare-llama-quality.py MODEL.gguf TEXT [--lapidary target/release/lapidary]

Prints a table. For each format it has the KL divergence of the next token's probabilities from those with f32 weights, in nats
per token, as the mean over the second half of each window of the text. It also has how often the most likely token is the same.
llama.cpp's CPU backend rounds activations to 8-bit integers where it multiplies quantized weights, as Lapidary does with
`--activations int8`. Both programs store keys and values as f32 with f32 weights, and as f16 otherwise.
"""
import json, os, subprocess, sys, tempfile

sys.dont_write_bytecode = True
from llama_quantizer import arguments, quantize  # noqa: E402

# "auto" is the file as it is.
FORMATS = ["auto", "q8_0", "q6_k", "q5_0", "q4_k", "q4_0"]
# Columns in a block of a k-quant. Lapidary pads rows to whole blocks. llama.cpp uses a larger format for rows that do not fit.
K_BLOCK = 256


def quantized(llama_cpp, model, name, folder):
    """Writes a copy of the file with every matrix in one format, and returns its path."""
    path = os.path.join(folder, f"{name}.gguf")
    quantize(llama_cpp, model, name, path)
    return path


def windows_of(llama, text, ctx, most):
    bos = llama.token_bos()
    ids = [bos] + llama.tokenize(text.encode(), add_bos=False, special=False)
    starts = range(0, len(ids) - ctx + 1, ctx)[:most]
    return [[bos] + ids[at + 1:at + ctx] for at in starts]


def log_probabilities(llama, window, np):
    """Log-probabilities of the next token, for each position in the second half of the window."""
    llama.reset()
    llama.eval(window)
    logits = llama.scores[len(window) // 2:len(window) - 1].astype(np.float32)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits, dtype=np.float32).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)


def divergence(np, p, q):
    kl = (np.exp(p) * (p - q)).sum(axis=1, dtype=np.float64)
    return kl.tolist(), (p.argmax(axis=1) == q.argmax(axis=1)).tolist()


def lapidary(program, options, weights, activations):
    command = [program, "perplexity", "-m", options.model, "--file", options.text, "--ctx", str(options.ctx), "--weights", weights,
               "--activations", activations, "--kl-against", "f32", "--json"]
    command += ["--windows", str(options.windows)] if options.windows else []
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        return result.stderr.strip().splitlines()[-1]
    kl = json.loads(result.stdout)["kl"]
    return f"{kl['mean']:.5f}, {100 * kl['top1_agreement']:.2f} %"


def main():
    options = arguments(__doc__, FORMATS)
    import llama_cpp
    import numpy as np

    def load(path, cache):
        return llama_cpp.Llama(path, n_ctx=options.ctx, n_batch=options.ctx, n_threads=os.cpu_count(), n_threads_batch=os.cpu_count(),
                               type_k=cache, type_v=cache, logits_all=True, verbose=False)

    text = open(options.text, encoding="utf-8").read()
    with tempfile.TemporaryDirectory() as folder:
        reference = load(quantized(llama_cpp, options.model, "f32", folder), llama_cpp.GGML_TYPE_F32)
        windows = windows_of(reference, text, options.ctx, options.windows or None)
        print(f"{len(windows)} windows of {options.ctx} tokens; KL divergence in nats per token, same most likely token\n")
        print("| weights | llama.cpp | Lapidary, int8 activations | Lapidary, float activations |\n|---|---|---|---|", flush=True)
        width = reference.n_embd()
        for name in options.formats:
            if name.endswith("_k") and width % K_BLOCK:
                print(f"| {name} | (a width of {width} is no multiple of {K_BLOCK}: llama.cpp would take a larger format) | | |")
                continue
            path = options.model if name == "auto" else quantized(llama_cpp, options.model, name, folder)
            model = load(path, llama_cpp.GGML_TYPE_F16)
            divergences, agreed = [], []
            for window in windows:
                kl, same = divergence(np, log_probabilities(reference, window, np), log_probabilities(model, window, np))
                divergences += kl
                agreed += same
            del model
            if path != options.model:
                os.remove(path)
            theirs = f"{np.mean(divergences):.5f}, {100 * np.mean(agreed):.2f} %"
            ours = [lapidary(options.lapidary, options, name, kind) for kind in ("int8", "float")]
            print(f"| {name} | {theirs} | {ours[0]} | {ours[1]} |", flush=True)


if __name__ == "__main__":
    main()
