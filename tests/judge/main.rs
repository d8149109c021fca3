//! The judge of kernels: what a GPU's compiler makes of every kernel that the GPU could get.
//!
//!     judge-kernels GPU [--all] [--only TEXT] [--assembly FOLDER] [--statistics]
//!
//! It asks the Vulkan driver, whose GPU need not be there: `tests/scripts/with-fake-gpu.sh` runs it on drivers of several.
//! The engine says which pipelines it would make for the driver's capabilities. Each is compiled as the engine compiles it.
//! A kernel that the driver refuses, that spills registers, or that needs scratch memory is a problem.
//!
//! The figures of the hot kernels go to standard output, as one section of `tests/KERNELS.md`. Problems go to standard error,
//! and then the exit status is 1. `--all` adds the pipelines for a browser, without subgroups and matrices. `--only` limits
//! both to variants whose names contain the text, and prints all of their figures. `--assembly` writes the assembly to a folder, and
//! `--statistics` prints all that the driver tells.

mod driver;
mod figures;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use lapidary_engine::gpu::{DeviceOptions, Dispatch};
use lapidary_engine::{Gpu, WeightFormat};
use lapidary_tests::{PipelineKey, block_on, recorded_pipelines};

use driver::Driver;
use figures::Figures;

const USAGE: &str = "usage: judge-kernels GPU [--all] [--only TEXT] [--assembly FOLDER] [--statistics]";

/// The columns of Gemma-2 2B. They set the workgroup memory of the kernels that fuse norms.
const HIDDEN: usize = 2304;

/// The weight formats whose kernels are in the table. The others' differ from them in how a block is decoded.
const TABLE_FORMATS: [WeightFormat; 3] = [WeightFormat::Q4_0, WeightFormat::Q4K, WeightFormat::Q6K];

/// The kernels in the table: those that take the time of a token or of a prompt.
const TABLE_KERNELS: [&str; 11] = [
    "matvec",
    "matvec_int8",
    "matvec_rows",
    "norm_matvec_int8",
    "attention",
    "attention_coop",
    "attention_decode",
    "matmul",
    "matmul_coop",
    "matmul_registers",
    "matmul_small",
];

/// What to do.
#[derive(Default)]
struct Options {
    gpu: String,
    all: bool,
    only: Option<String>,
    assembly: Option<PathBuf>,
    statistics: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in &problems {
                eprintln!("PROBLEM: {problem}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("judge-kernels: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value; {USAGE}"));
        match argument.as_str() {
            "--all" => options.all = true,
            "--only" => options.only = Some(value()?),
            "--assembly" => options.assembly = Some(value()?.into()),
            "--statistics" => options.statistics = true,
            gpu if options.gpu.is_empty() && !gpu.starts_with('-') => options.gpu = gpu.to_owned(),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if options.gpu.is_empty() { Err(USAGE.to_owned()) } else { Ok(options) }
}

/// Compiles the pipelines and prints the table. Gives the problems.
fn run(options: &Options) -> Result<Vec<String>, String> {
    if let Some(folder) = &options.assembly {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let gpu = block_on(Gpu::open(&DeviceOptions::default())).map_err(|error| error.to_string())?;
    let info = gpu.info().clone();
    let capabilities = gpu.capabilities().clone();
    drop(gpu);
    if capabilities.software {
        return Err(format!("{} is a software adapter: run this by tests/scripts/with-fake-gpu.sh", info.name));
    }
    let mut pipelines = recorded_pipelines(&capabilities, HIDDEN, &[u64::MAX]);
    if options.all {
        let mut browser = capabilities.clone();
        (browser.subgroups, browser.cooperative_size) = (false, None);
        pipelines.extend(recorded_pipelines(&browser, HIDDEN, &[u64::MAX]));
    }
    if let Some(text) = &options.only {
        pipelines.retain(|(variant, _), _| variant.contains(text.as_str()));
    }
    println!("## {}: {} ({})\n", options.gpu, info.name, info.driver_info);
    println!(
        "Subgroups of {} to {}{}, cooperative matrices {}.\n",
        info.subgroup_min_size,
        info.subgroup_max_size,
        if capabilities.subgroups { "" } else { " (not used)" },
        capabilities.cooperative_size.map_or("none".to_owned(), |size| format!("{size} × {size}")),
    );
    let judged = compile(&pipelines, options)?;
    println!("| kernel | registers | waves | instructions | cycles | spills | scratch | operations |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    let mut problems = Vec::new();
    for ((key, dispatch), result) in pipelines.iter().zip(&judged) {
        let figures = match result {
            Ok(figures) => figures,
            Err(error) => {
                problems.push(format!("{} on {}: {error}", name(key), options.gpu));
                continue;
            }
        };
        if options.only.is_some() || is_in_table(key, dispatch) {
            println!("{}", row(key, figures));
        }
        if figures.spills > 0 || figures.scratch > 0 {
            problems.push(format!(
                "{} on {}: {} spills, {} bytes of scratch",
                name(key),
                options.gpu,
                figures.spills,
                figures.scratch
            ));
        }
    }
    eprintln!("{}: {} pipelines, {} problems", options.gpu, judged.len(), problems.len());
    Ok(problems)
}

/// The figures of each pipeline, in order, compiled on all cores.
fn compile(
    pipelines: &BTreeMap<PipelineKey, Dispatch>,
    options: &Options,
) -> Result<Vec<Result<Figures, String>>, String> {
    let driver = Driver::open()?;
    let queue = Mutex::new(pipelines.iter().enumerate());
    let results = Mutex::new(BTreeMap::new());
    let next = || queue.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some((i, (key, dispatch))) = next() {
                    let result = judge(&driver, key, dispatch, options);
                    if let Ok(mut results) = results.lock() {
                        results.insert(i, result);
                    }
                }
            });
        }
    });
    let results = results.into_inner().map_err(|_| "a thread that compiles failed".to_owned())?;
    if results.len() < pipelines.len() {
        return Err(format!("{} of {} pipelines were compiled", results.len(), pipelines.len()));
    }
    Ok(results.into_values().collect())
}

fn judge(driver: &Driver, key: &PipelineKey, dispatch: &Dispatch, options: &Options) -> Result<Figures, String> {
    let variant = dispatch.variant().ok_or("no variant")?;
    let code = driver.compile(variant.wgsl, &dispatch.constants)?;
    if options.statistics {
        eprintln!("{} {:?}", name(key), code.statistics);
    }
    if let Some(folder) = &options.assembly {
        let file = folder.join(format!("{}.s", name(key).replace([' ', '='], "_")));
        std::fs::write(&file, &code.assembly).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Figures::of(&code)
}

/// `matvec_int8.q4_0.subgroups width=64`
fn name((variant, constants): &PipelineKey) -> String {
    let mut name = (*variant).to_owned();
    for (constant, value) in constants {
        let _ = write!(name, " {constant}={value}");
    }
    name
}

/// Whether a pipeline is in the table: of a hot kernel, in one of its formats and, where an override sets the width of a
/// workgroup, in the narrowest that is for GPUs.
fn is_in_table((_, constants): &PipelineKey, dispatch: &Dispatch) -> bool {
    let kernel = dispatch.kernel.name;
    let format = WeightFormat::ALL.iter().find(|format| dispatch.features.contains(&format.name()));
    let narrow = constants.iter().all(|(name, value)| !["width", "lanes"].contains(name) || *value == 64);
    TABLE_KERNELS.contains(&kernel) && narrow && format.is_none_or(|format| TABLE_FORMATS.contains(format))
}

/// A row of the table.
fn row(key: &PipelineKey, figures: &Figures) -> String {
    let operations: Vec<_> = figures.operations.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let operations = if operations.is_empty() { "–".to_owned() } else { operations.join(", ") };
    let cycles = figures.cycles.map_or("–".to_owned(), |cycles| cycles.to_string());
    let Figures { registers, waves, instructions, spills, scratch, .. } = figures;
    format!(
        "| {} | {registers} | {waves} | {instructions} | {cycles} | {spills} | {scratch} | {operations} |",
        name(key)
    )
}
