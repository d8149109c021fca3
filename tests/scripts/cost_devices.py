"""How long a GPU takes for what a dispatch does, and the constants of five GPUs. Used by cost-model.py.

Start, stall and overlap were fitted to decode on the H200, of three models at three depths, and serve all GPUs.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Device:
    """A GPU. Times are in microseconds, rates in GB/s and TFLOP/s."""
    name: str
    # Of tests/KERNELS.md, of the same or the most similar architecture.
    section: str
    # Multiprocessors, compute units or cores; issuing units of one; GHz.
    units: int
    schedulers: int
    clock: float
    # By the data sheet.
    memory: float
    matrices: float
    # L2 cache, and latencies of loads from memory and from it.
    cache: float
    memory_latency: float
    cache_latency: float
    gap: float
    # Loads of a short loop that the compiler starts together.
    unroll: int
    # Memory, in GB.
    size: int
    # Where the constants are from.
    source: str
    # Most threads of a unit.
    threads: int = 2048
    # The share of the data sheet's bandwidth that a read reaches: 4,535 of 4,800 GB/s on the H200.
    read: float = 0.945
    # From the first instruction to full speed: parameters, addresses and instructions are not in any cache yet.
    start: float = 1.5
    # Cycles between two instructions of a subgroup that waits for nothing but its own results.
    stall: float = 3.0
    # How far the limits of a dispatch overlap: 1 would be not at all, and much more entirely.
    overlap: float = 1.5

    def resident(self, work):
        """Workgroups that a unit holds at once."""
        threads = self.threads
        if work.fits:
            per_fit = {"ampere": 32, "navi31": 2 * 32, "m1": 1}[self.section]
            threads = min(threads, work.fits * per_fit)
        return max(1, int(threads // work.threads))

    def parts(self, work):
        """What each limit alone would take, in microseconds."""
        cycle = 1e-3 / self.clock
        used = min(self.units, work.workgroups)
        per_unit = math.ceil(work.workgroups / self.units)
        together = min(per_unit, self.resident(work))
        subgroups = max(1, work.threads / 32)
        wavefronts = work.wavefronts * cycle
        matrix = work.matrix / (self.matrices * 1e6 / self.units)
        issue = work.instructions * subgroups / self.schedulers * cycle
        wait = (work.memory_waits * self.memory_latency + work.cache_waits * self.cache_latency + work.hits * 40 * cycle
                + work.instructions * self.stall * cycle + together * work.lines * cycle)
        if work.matrix:
            # The next loads come while the matrices are multiplied, and the barriers of a round separate that from stores.
            loads = max(work.cache_waits * self.cache_latency, matrix)
            wait = loads + work.instructions * self.stall * cycle + wavefronts
        return {
            "waits": wait * max(1, work.workgroups / (used * self.resident(work))),
            "issue": issue * per_unit,
            "memory": work.memory / (self.memory * self.read * 1e3),
            "cache": work.cache / (self.cache * 1e3),
            "matrices": per_unit * matrix,
            "wavefronts": per_unit * wavefronts,
        }

    def time(self, work):
        """Microseconds of a dispatch."""
        return self.gap + self.start + sum(part**self.overlap for part in self.parts(work).values()) ** (1 / self.overlap)


H200 = Device("H200", "ampere", 132, 4, 1.83, 4800, 611, 22013, 0.70, 0.27, 1.7, 4, 141,
              "measured (tests/MEASUREMENTS.md); units, clock and memory: data sheet; latencies: guess")
DEVICES = (
    Device("RTX 4090", "ampere", 128, 4, 2.52, 1008, 165, 5000, 0.55, 0.27, 1.7, 4, 24,
           "data sheet; L2 and latencies: guess; gap: as on the H200", threads=1536),
    replace(H200, name="H100", memory=3350, memory_latency=0.68, size=80, source="as the H200; memory: data sheet of the SXM5"),
    H200,
    Device("RX 7900 XTX", "navi31", 96, 2, 2.5, 960, 123, 3500, 0.70, 0.35, 4.0, 1, 24,
           "data sheet; L2, latencies and gap: guess"),
    Device("M2 Max", "m1", 38, 4, 1.4, 400, 13.6, 1000, 0.50, 0.30, 3.0, 1, 96,
           "data sheet (38 cores); clock, L2, latencies and gap: guess", threads=1024),
)


def guessed(device, factor, overlap=None):
    """The device with other guesses: everything that is waited for takes so many times as long, and limits overlap otherwise."""
    waits = ("memory_latency", "cache_latency", "gap", "start")
    return replace(device, overlap=overlap or device.overlap, **{wait: factor * getattr(device, wait) for wait in waits})
