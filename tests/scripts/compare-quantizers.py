#!/usr/bin/env python3
"""Compares files that `lapidary quantize` writes with those of llama.cpp's quantizer: the same source, the same formats, and the
perplexity of each by `lapidary perplexity`, on the same text.

    python3 -m venv venv && venv/bin/pip install llama-cpp-python numpy gguf
    venv/bin/python tests/scripts/compare-quantizers.py MODEL TEXT [--lapidary target/release/lapidary]

MODEL is a file, a folder, a name that was pulled, or guide. TEXT is a text, or a JSON array of token ids whose name ends with .json.
Both quantizers read the same file with f32 weights, which is made first. Where the tensors of both files have the same bytes, the
perplexity is measured once.
"""
import ctypes, json, os, subprocess, sys, tempfile

sys.dont_write_bytecode = True
from llama_quantizer import arguments, quantize  # noqa: E402

FORMATS = ["q8_0", "q4_0", "q4_k", "q5_k", "q6_k", "q4_k_m"]


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def tensors(gguf, path):
    return {tensor.name: (tensor.tensor_type, tensor.data.tobytes()) for tensor in gguf.GGUFReader(path).tensors}


def perplexity(options, path):
    text = ["--tokens-file" if options.text.endswith(".json") else "--file", options.text]
    command = [options.lapidary, "perplexity", "-m", path, *text, "--ctx", str(options.ctx), "--activations", "float", "--json"]
    command += ["--windows", str(options.windows)] if options.windows else []
    return json.loads(run(command))["perplexity"]


def main():
    options = arguments(__doc__, FORMATS)
    import gguf
    import llama_cpp

    # It reports every tensor otherwise.
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (os.path.join(folder, f"{name}.gguf") for name in ["f32", "ours", "theirs"])
        run([options.lapidary, "quantize", options.model, "--weights", "f32", "-o", source])
        print(f"with f32 weights: {perplexity(options, source):.4f}")
        print("| weights | llama.cpp's quantizer | `lapidary quantize` | difference | tensors with the same bytes |")
        print("|---|---|---|---|---|")
        for name in options.formats:
            run([options.lapidary, "quantize", source, "--weights", name, "-o", ours, "--force"])
            quantize(llama_cpp, source, name, theirs)
            a, b = tensors(gguf, ours), tensors(gguf, theirs)
            if a.keys() != b.keys():
                raise SystemExit(f"{name}: the files have different tensors")
            same = sum(a[tensor] == b[tensor] for tensor in a)
            types = [f"{tensor}: {a[tensor][0].name}, {b[tensor][0].name}" for tensor in a if a[tensor][0] != b[tensor][0]]
            their = perplexity(options, theirs)
            our = their if same == len(a) else perplexity(options, ours)
            print(f"| {name} | {their:.4f} | {our:.4f} | {100 * (our / their - 1):+.3f} % | {same} of {len(a)} |", flush=True)
            for line in types:
                print(f"    other format: {line}")


if __name__ == "__main__":
    main()
