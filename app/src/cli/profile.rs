//! `lapidary bench --profile`: the time per kernel of one token.

use lapidary_engine::Session;

use super::failure::Failure;
use super::interrupt::Busy;
use super::spread::Spread;

/// The number of steps that a profile is the median of.
pub(crate) const PROFILE_RUNS: usize = 5;

/// The dispatches of one kernel in a token.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) dispatches: usize,
    pub(crate) ms: f64,
}

/// Profiles a token after the session's tokens. Returns the kernels, the slowest first.
pub(crate) fn profile(session: &mut Session, busy: &Busy) -> Result<Vec<Kernel>, Failure> {
    // The last generated token may have filled the context.
    session.rewind(session.tokens().len().saturating_sub(1));
    let mut runs = Vec::new();
    for _ in 0..PROFILE_RUNS {
        runs.push(busy.wait(session.profile())?);
    }
    let mut kernels: Vec<Kernel> = Vec::new();
    for (i, (name, _)) in runs[0].iter().enumerate() {
        let ms = Spread::of(runs.iter().map(|run| run[i].1).collect()).median;
        match kernels.iter_mut().find(|kernel| kernel.name == *name) {
            Some(kernel) => {
                kernel.dispatches += 1;
                kernel.ms += ms;
            }
            None => kernels.push(Kernel { name, dispatches: 1, ms }),
        }
    }
    kernels.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    Ok(kernels)
}
