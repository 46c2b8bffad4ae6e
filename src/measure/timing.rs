//! Medians, and how to time what is shorter than the call that starts it.

use web_time::Instant;

use super::Effort;
use crate::error::{Error, Result};

/// Most repetitions in one run.
const MOST: usize = 2048;

/// Several measurements of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The middle one, in seconds.
    pub median: f64,
    /// The distance of the longest from the shortest, as a part of the median.
    pub spread: f64,
}

impl Sample {
    /// Takes `runs` measurements, at least one; `measure` returns seconds.
    ///
    /// # Errors
    /// The first of `measure`.
    pub fn take<E: From<Error>>(runs: usize, mut measure: impl FnMut() -> Result<f64, E>) -> Result<Self, E> {
        let mut times = (0..runs.max(1)).map(|_| measure()).collect::<Result<Vec<f64>, E>>()?;
        times.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (times.first(), times.last()) else {
            return Err(Error::invalid("measurement", "nothing was measured").into());
        };
        let median = times[times.len() / 2];
        Ok(Sample { median, spread: (most - least) / median.max(f64::MIN_POSITIVE) })
    }
}

/// The mean of some values and their standard deviation, that of a sample (Bessel's correction).
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The time of one repetition, where `prepare(n)` returns a run of `n` of them.
///
/// Recording, submitting, waiting and reading back cost some 0.1 ms a run, which is more than many kernels take. So a run
/// repeats the kernel until it lasts long enough for that to be lost in it, and the time is divided by the repetitions. `fixed` are the
/// seconds of a run without any, where they are known, and are taken off before.
///
/// # Errors
/// Those of `prepare` and of the run.
pub fn per_repetition<R: FnMut() -> Result<()>>(
    effort: &Effort,
    fixed: f64,
    mut prepare: impl FnMut(usize) -> Result<R>,
) -> Result<Sample> {
    let mut n = 1;
    loop {
        let mut run = prepare(n)?;
        run()?;
        let once = (seconds(&mut run)? - fixed).max(0.0);
        if once >= effort.least || n == MOST {
            let whole = Sample::take(effort.runs, || seconds(&mut run))?;
            // Where the machine was so much busier while the fixed part was measured, nothing would be left.
            let net = if whole.median > fixed { whole.median - fixed } else { whole.median };
            return Ok(Sample { median: net / n as f64, spread: whole.spread * whole.median / net.max(f64::MIN_POSITIVE) });
        }
        let enough = (1.2 * n as f64 * effort.least / once.max(1e-9)).ceil() as usize;
        n = enough.clamp(n + 1, 8 * n).min(MOST);
    }
}

/// The seconds that a run takes.
///
/// # Errors
/// Those of the run.
pub fn seconds(run: &mut impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    run()?;
    Ok(started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_less_than_the_fixed_part_still_takes_time() {
        let run = |_| {
            Ok(|| {
                std::thread::sleep(std::time::Duration::from_micros(50));
                Ok(())
            })
        };
        let sample = per_repetition(&Effort { least: 1e-3, ..Effort::QUICK }, 10.0, run).unwrap();
        assert!(sample.median > 0.0 && sample.median < 10.0 && sample.spread.is_finite(), "{sample:?}");
    }

    #[test]
    fn means_and_deviations() {
        assert_eq!(mean_and_deviation(&[2.0, 4.0, 6.0]), (4.0, 2.0));
        assert_eq!(mean_and_deviation(&[3.0]), (3.0, 0.0));
    }
}
