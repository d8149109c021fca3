//! The figures of a kernel's machine code, out of the statistics and the assembly of several drivers.

use std::collections::BTreeMap;

use crate::driver::Code;

/// What the judge looks at. Figures of different GPUs do not compare: each driver counts in its own way.
pub(crate) struct Figures {
    /// Registers of an invocation. On AMD, vector registers.
    pub(crate) registers: u64,
    /// Subgroups that fit: on AMD per SIMD, on NVIDIA per multiprocessor, on Adreno per core. On Apple, threads per core.
    pub(crate) waves: u64,
    /// Machine instructions.
    pub(crate) instructions: u64,
    /// The compiler's estimate of the cycles of one subgroup. It guesses how often loops run. `None` if it makes none.
    pub(crate) cycles: Option<u64>,
    /// Spilled registers, or on some drivers the instructions that spill them.
    pub(crate) spills: u64,
    /// Bytes of memory of each invocation, for spills or for arrays that are indexed at run time.
    pub(crate) scratch: u64,
    /// Memory, matrix and subgroup instructions, with their number. Empty if the driver shows no assembly.
    pub(crate) operations: BTreeMap<String, usize>,
}

/// The names that drivers use for the same thing, in lower case.
const REGISTERS: &[&str] = &["vgprs", "number of gprs", "gprs", "registers used"];
const WAVES: &[&str] = &["subgroups per simd", "max warps/sm", "threads", "max waves per core"];
const INSTRUCTIONS: &[&str] = &["instructions", "instruction count"];
const CYCLES: &[&str] = &["latency", "static cycle count", "alu"];
const SPILLS: &[&str] = &["spilled vgprs", "spilled sgprs", "spills to memory", "spills", "stp count"];
const SCRATCH: &[&str] = &["scratch size", "slm size", "scratch"];

/// The beginnings of the opcodes that are listed: AMD's, NVIDIA's, Adreno's.
const OPERATIONS: &[&str] = &[
    "buffer_",
    "global_",
    "flat_",
    "s_buffer_load",
    "s_load",
    "scratch_",
    "ds_",
    "v_wmma",
    "v_dot4",
    "s_barrier", // AMD
    "ld.",
    "st.",
    "ldc",
    "ldsm",
    "hmma",
    "imma",
    "idp",
    "bar.",
    "shfl", // NVIDIA
    "ldg",
    "stg",
    "ldl",
    "stl",
    "ldp",
    "stp",
    "isam",
    "ldib",
    "stib",
    "dp4acc",
    "brcst", // Adreno
];

impl Figures {
    /// The figures of a kernel.
    ///
    /// # Errors
    /// If the driver does not tell registers, waves, instructions and spills by a known name.
    pub(crate) fn of(code: &Code) -> Result<Self, String> {
        let one = |names: &[&str]| names.iter().find_map(|name| code.statistics.get(*name)).map(|value| *value as u64);
        let all = |names: &[&str]| {
            let told: Vec<u64> =
                names.iter().filter_map(|name| code.statistics.get(*name)).map(|value| *value as u64).collect();
            if told.is_empty() { None } else { Some(told.iter().sum::<u64>()) }
        };
        let told = |what: &str, value: Option<u64>| {
            value.ok_or_else(|| format!("the driver does not tell {what}, only {:?}", code.statistics.keys()))
        };
        Ok(Self {
            registers: told("registers", one(REGISTERS))?,
            waves: told("waves", one(WAVES))?,
            instructions: told("instructions", one(INSTRUCTIONS))?,
            cycles: one(CYCLES),
            spills: told("spills", all(SPILLS))?,
            scratch: told("scratch", all(SCRATCH).or(Some(0)))?,
            operations: operations(&code.assembly),
        })
    }
}

/// The number of each memory, matrix and subgroup instruction. The opcode says the width.
fn operations(assembly: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in assembly.lines() {
        let line = line.split("//").next().unwrap_or(line);
        let words = line.split(|c: char| c.is_whitespace() || c == '=');
        let listed = |word: &&str| OPERATIONS.iter().any(|start| word.starts_with(start));
        if let Some(opcode) = words.map(|word| word.trim_start_matches('@')).find(listed) {
            *counts.entry(opcode.to_owned()).or_default() += 1;
        }
    }
    counts
}
