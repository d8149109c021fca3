//! How many workgroups a dispatch starts.

use std::fmt;

/// The most workgroups in one dimension of a grid; WebGPU's default limit.
const MAX_WORKGROUPS: u32 = 65_535;

/// A number of workgroups, constant or proportional to the tokens of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Always this many.
    Fixed(u32),
    /// `per_token` items per token, `per_group` of them per workgroup, rounded up.
    Tokens {
        /// Items per token.
        per_token: u32,
        /// Items per workgroup.
        per_group: u32,
    },
}

impl Count {
    /// One workgroup per token.
    pub const EACH_TOKEN: Self = Self::Tokens { per_token: 1, per_group: 1 };

    fn of(self, n_tokens: u32) -> u32 {
        match self {
            Self::Fixed(count) => count,
            Self::Tokens { per_token, per_group } => (n_tokens * per_token).div_ceil(per_group),
        }
    }
}

impl fmt::Display for Count {
    /// `36`, `T`, `T/32`, `640T/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (per_token, per_group) = match self {
            Self::Fixed(count) => return write!(f, "{count}"),
            Self::Tokens { per_token, per_group } => (*per_token, *per_group),
        };
        if per_token != 1 {
            write!(f, "{per_token}")?;
        }
        f.write_str("T")?;
        if per_group != 1 { write!(f, "/{per_group}") } else { Ok(()) }
    }
}

/// The workgroups of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// A row of workgroups. If it is longer than the limit of a dimension, it is folded into x and y, and the kernel
    /// computes the index with `lib/grid.wesl`.
    Flat(Count),
    /// x and y.
    Xy(Count, Count),
}

impl Grid {
    /// One workgroup.
    pub const ONE: Self = Self::Flat(Count::Fixed(1));

    pub(super) fn of(self, n_tokens: u32) -> [u32; 2] {
        match self {
            Self::Flat(count) => {
                let count = count.of(n_tokens);
                let x = count.min(MAX_WORKGROUPS);
                [x, count.div_ceil(x.max(1))]
            }
            Self::Xy(x, y) => [x.of(n_tokens), y.of(n_tokens)],
        }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat(count) => write!(f, "[{count}]"),
            Self::Xy(x, y) => write!(f, "[{x}, {y}]"),
        }
    }
}
