//! How much a process may learn about a device, besides its work.

use web_time::{Duration, Instant};

/// A limit on learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So long, by the clock.
    Time(Duration),
    /// So many steps, each measured a fixed number of times: the same ones wherever it runs. Browsers make their clocks too coarse to
    /// say when time is up.
    Steps(usize),
}

impl Allowance {
    /// Nothing is learnt.
    pub const NONE: Allowance = Allowance::Steps(0);

    /// Repetitions in a measurement of what takes `once` seconds.
    pub(super) fn repetitions(self, once: f64) -> usize {
        /// Seconds that a measurement should last: many times what a submit costs.
        const LASTING: f64 = 2e-3;
        match self {
            Allowance::Time(_) => (LASTING / once).ceil().clamp(1.0, 64.0) as usize,
            Allowance::Steps(_) => 16,
        }
    }

    /// Whether nothing is left.
    pub fn is_spent(self) -> bool {
        match self {
            Allowance::Time(time) => time.is_zero(),
            Allowance::Steps(steps) => steps == 0,
        }
    }
}

/// What one process may learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For comparing kernels with the reference before their first use. What is not compared is used all the same, and compared at the
    /// next start.
    pub proving: Allowance,
    /// For timing kernels that could be used instead of one another.
    pub tuning: Allowance,
}

impl Budget {
    /// Nothing is learnt.
    pub const NONE: Budget = Budget { proving: Allowance::NONE, tuning: Allowance::NONE };
}

impl Default for Budget {
    /// A second for proving, in a browser sixteen steps, and none for tuning.
    fn default() -> Self {
        let proving = if cfg!(target_arch = "wasm32") { Allowance::Steps(16) } else { Allowance::Time(Duration::from_secs(1)) };
        Budget { proving, tuning: Allowance::NONE }
    }
}

/// Counts down what is left of an allowance.
pub(super) struct Meter {
    left: Allowance,
    since: Instant,
}

impl Meter {
    pub(super) fn new(left: Allowance) -> Self {
        Meter { left, since: Instant::now() }
    }

    /// What is left now.
    pub(super) fn left(&self) -> Allowance {
        match self.left {
            Allowance::Time(time) => Allowance::Time(time.saturating_sub(self.since.elapsed())),
            steps => steps,
        }
    }

    /// Whether what takes so long may be begun.
    pub(super) fn affords(&self, seconds: f64) -> bool {
        match self.left() {
            Allowance::Time(time) => seconds <= time.as_secs_f64(),
            Allowance::Steps(steps) => steps > 0,
        }
    }

    /// Notes a step that was taken.
    pub(super) fn step(&mut self) {
        if let Allowance::Steps(steps) = &mut self.left {
            *steps = steps.saturating_sub(1);
        }
    }
}
