//! What a start took until the first result, and the device memory of a run: said in the same way by `run` and `infer`.

use std::time::Instant;

use serde_json::{Map, Value, json};
use wavelane::gpu::{Memory, MemoryUse, Preparation};
use wavelane::session::Device;

use super::inspect::size;

/// A start under way.
pub struct Start {
    began: Instant,
    /// Seconds that opening the file and the device took.
    file: f64,
    device: f64,
    /// Seconds until the first result, and what of them went into making plans ready.
    first: Option<(f64, Preparation)>,
}

impl Start {
    /// A start that begins now.
    pub fn begin() -> Self {
        Start { began: Instant::now(), file: 0.0, device: 0.0, first: None }
    }

    /// Opens the file by `open`.
    pub fn file<T>(&mut self, open: impl FnOnce() -> T) -> T {
        timed(&mut self.file, open)
    }

    /// Opens the device by `open`.
    pub fn device<T>(&mut self, open: impl FnOnce() -> T) -> T {
        timed(&mut self.device, open)
    }

    /// The first result is there; later ones change nothing.
    pub fn first(&mut self, device: &Device) {
        let preparation = device.gpu().map_or_else(Preparation::default, |gpu| gpu.preparation());
        let seconds = self.began.elapsed().as_secs_f64();
        self.first.get_or_insert((seconds, preparation));
    }

    /// The parts of the start, in the order in which they begin, with their seconds, and of all together; none before the first result.
    fn parts(&self) -> Option<(Vec<(&'static str, f64)>, f64)> {
        let (seconds, Preparation { planning, upload, pipelines, proving, tuning, binding }) = self.first?;
        let mut parts = vec![("file", self.file), ("device", self.device), ("planning", planning), ("upload", upload)];
        parts.extend([("pipelines", pipelines), ("proving", proving), ("tuning", tuning), ("binding", binding)]);
        let known: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        parts.push(("running", (seconds - known).max(0.0)));
        Some((parts, seconds))
    }

    /// `"start"`: seconds until the first result and of each part, or null; `"memory"`: bytes on the device, or null on the CPU.
    pub fn json(&self, device: &Device) -> Map<String, Value> {
        let start = self.parts().map(|(parts, seconds)| {
            let parts = parts.into_iter().map(|(name, seconds)| (name.to_owned(), json!(seconds)));
            Value::from_iter([("seconds".to_owned(), json!(seconds))].into_iter().chain(parts))
        });
        let memory = device.gpu().map(|gpu| gpu.memory());
        Map::from_iter([("start".to_owned(), json!(start)), ("memory".to_owned(), json!(memory))])
    }

    /// The same as lines for a person.
    pub fn text(&self, device: &Device) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((parts, seconds)) = self.parts() {
            let parts: Vec<String> = parts.iter().map(|(name, seconds)| format!("{name} {seconds:.2}")).collect();
            lines.push(format!("{seconds:.2} s to the first result: {}", parts.join(", ")));
        }
        if let Some(gpu) = device.gpu() {
            let MemoryUse { peak, .. } = gpu.memory();
            let Memory { weights, states, arena, staging, other } = peak;
            let parts = [("weights", weights), ("states", states), ("arena", arena), ("staging", staging), ("other", other)];
            let parts: Vec<String> = parts.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
            lines.push(format!("{} on the device at most: {}", size(peak.total()), parts.join(", ")));
        }
        lines
    }
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    *seconds += began.elapsed().as_secs_f64();
    result
}
