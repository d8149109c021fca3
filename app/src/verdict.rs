//! Whether what a model takes fits a device.

/// More of the memory than this leaves other programs little.
const TIGHT: f64 = 0.85;

/// Whether something fits a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// It fits, and leaves other programs little.
    Tight,
    /// It does not fit.
    TooLarge,
    /// The device does not say how much memory it has.
    Unknown,
}

impl Verdict {
    /// Of `needed` bytes on a device with `memory`.
    pub fn of(needed: u64, memory: Option<u64>) -> Self {
        match memory {
            None => Self::Unknown,
            Some(memory) if needed > memory => Self::TooLarge,
            Some(memory) if needed as f64 > TIGHT * memory as f64 => Self::Tight,
            Some(_) => Self::Fits,
        }
    }

    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::TooLarge => "too large",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_leave_room_for_other_programs() {
        assert_eq!(Verdict::of(80, Some(100)), Verdict::Fits);
        assert_eq!(Verdict::of(90, Some(100)), Verdict::Tight);
        assert_eq!(Verdict::of(101, Some(100)), Verdict::TooLarge);
        assert_eq!(Verdict::of(1, None), Verdict::Unknown);
    }
}
