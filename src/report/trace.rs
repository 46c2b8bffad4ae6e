//! The trace event format, as Chrome's `about:tracing` and Perfetto read it.

use serde_json::{Value, json};

use super::profile::ProfileReport;

/// Complete events, in microseconds: one process for each part, in it one thread with the nodes, and under each its dispatches.
pub fn of(report: &ProfileReport) -> Value {
    let mut events = Vec::new();
    for (process, part) in report.parts.iter().enumerate() {
        let label =
            |what: &str, name: &str| json!({ "name": what, "ph": "M", "pid": process, "tid": 0, "args": { "name": name } });
        events.push(label("process_name", &part.name));
        events.push(label("thread_name", &report.device.name));
        let event = |name: &str, category: &str, at: f64, seconds: f64, arguments: Value| {
            json!({
                "name": name, "cat": category, "ph": "X", "pid": process, "tid": 0,
                "ts": at * 1e6, "dur": seconds * 1e6, "args": arguments,
            })
        };
        let mut at = 0.0;
        for step in &part.profile.steps {
            let about = json!({ "op": step.op, "flops": step.flops, "bytes": step.bytes });
            events.push(event(&format!("{} {}", step.op, step.node), "node", at, step.seconds(), about));
            for dispatch in &step.dispatches {
                let about = json!({ "kernel": dispatch.kernel, "grid": dispatch.grid });
                events.push(event(&dispatch.shader, "dispatch", at, dispatch.seconds, about));
                at += dispatch.seconds;
            }
        }
    }
    let about = json!({ "model": report.model, "device": report.device.name, "version": report.version });
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": about })
}
