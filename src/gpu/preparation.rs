//! Where the time goes until a plan can run for the first time.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::Gpu;

/// Seconds that making plans ready took on a device so far. They passed one after another: what is done beside something else, as
/// pipelines are made beside the upload of weights, counts only as far as it took longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Making graphs, and plans from graphs.
    pub planning: f64,
    /// Packing weights and bringing them to the device.
    pub upload: f64,
    /// Making pipelines, beyond the upload.
    pub pipelines: f64,
    /// Comparing kernels with the reference, their pipelines included.
    pub proving: f64,
    /// Timing kernels against one another, their pipelines included.
    pub tuning: f64,
    /// Making buffers and bind groups.
    pub binding: f64,
}

impl Preparation {
    /// Seconds of all together.
    pub fn total(&self) -> f64 {
        let Preparation { planning, upload, pipelines, proving, tuning, binding } = self;
        planning + upload + pipelines + proving + tuning + binding
    }
}

/// The seconds of one device, to which its handles add.
pub(super) type Clock = Arc<Mutex<Preparation>>;

impl Gpu {
    /// What making plans ready took so far.
    pub fn preparation(&self) -> Preparation {
        *self.0.preparation.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Does `work`, and adds its time to `part`.
    pub(crate) fn timed<T>(&self, part: impl FnOnce(&mut Preparation) -> &mut f64, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        *part(&mut self.0.preparation.lock().unwrap_or_else(|e| e.into_inner())) += began.elapsed().as_secs_f64();
        result
    }
}
