//! Medians, and how to time what is shorter than the call that starts it.

use std::time::Instant;

use super::Result;

/// Timed runs behind every median, after a warm-up.
pub const RUNS: usize = 5;
/// Seconds that a timed run should last at least.
const LEAST: f64 = 0.05;
/// Most repetitions in one run.
const MOST: usize = 2048;

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The middle one, in seconds.
    pub median: f64,
    /// The distance of the longest from the shortest, as a part of the median.
    pub spread: f64,
}

impl Sample {
    /// Takes [`RUNS`] measurements; `measure` returns seconds.
    pub fn take(mut measure: impl FnMut() -> Result<f64>) -> Result<Self> {
        let mut times = (0..RUNS).map(|_| measure()).collect::<Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        let median = times[RUNS / 2];
        Ok(Sample { median, spread: (times[RUNS - 1] - times[0]) / median })
    }
}

/// The time of one repetition, where `prepare(n)` returns a run of `n` of them.
///
/// Recording, submitting, waiting and reading back cost some 0.1 ms a run, which is more than many kernels take. So a run
/// repeats the kernel until it lasts long enough for that to be lost in it, and the time is divided by the repetitions.
pub fn per_repetition<R: FnMut() -> Result<()>>(mut prepare: impl FnMut(usize) -> Result<R>) -> Result<Sample> {
    let mut n = 1;
    loop {
        let mut run = prepare(n)?;
        run()?;
        let mut time = || {
            let started = Instant::now();
            run()?;
            Ok(started.elapsed().as_secs_f64())
        };
        let once = time()?;
        if once >= LEAST || n == MOST {
            let Sample { median, spread } = Sample::take(time)?;
            return Ok(Sample { median: median / n as f64, spread });
        }
        let enough = (1.2 * n as f64 * LEAST / once.max(1e-9)).ceil() as usize;
        n = enough.clamp(n + 1, 8 * n).min(MOST);
    }
}
