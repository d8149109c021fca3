"""llama.cpp's quantizer, and the arguments of the programs that compare with it: compare-quantizers.py and compare-llama-quality.py."""

import argparse
import ctypes

# llama.cpp's numbers for the formats.
NUMBERS = {"f32": 0, "q4_0": 2, "q8_0": 7, "q5_0": 8, "q4_k": 14, "q4_k_m": 15, "q5_k": 16, "q6_k": 18}


def arguments(description, formats):
    """What the command line says. Without --formats it is all of `formats`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--lapidary", default="target/release/lapidary")
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--windows", type=int, help="use only the first N windows")
    parser.add_argument("--formats", nargs="+", default=formats, choices=formats)
    return parser.parse_args()


def quantize(llama_cpp, source, name, path):
    """Writes a GGUF file in another format."""
    params = llama_cpp.llama_model_quantize_default_params()
    # All matrices get the same format, except in the mixes.
    params.ftype, params.pure, params.allow_requantize = NUMBERS[name], not name.endswith("_m"), True
    if llama_cpp.llama_model_quantize(source.encode(), path.encode(), ctypes.byref(params)) != 0:
        raise SystemExit(f"llama.cpp cannot quantize {source}")
