//! `wavelane devices`: what could run a model.

use clap::Args;
use serde_json::json;
use wavelane::{Error, Result, gpu};

use super::End;
use super::output::{print, say};

/// Arguments of `devices`.
#[derive(Args)]
pub struct Devices {
    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

impl Devices {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let devices = gpu::devices();
        if self.json {
            let mut list = serde_json::to_value(&devices).map_err(|e| Error::Request(e.to_string()))?;
            if let Some(list) = list.as_array_mut() {
                list.push(json!({ "name": "cpu", "kind": "reference" }));
            }
            print(format_args!("{list}\n"))?;
            return Ok(End::Done);
        }
        for d in &devices {
            let subgroups = d.caps.subgroup.map_or("no subgroups".into(), |(min, max)| format!("subgroups {min}..{max}"));
            let half = if d.caps.half { "; f16" } else { "" };
            print(format_args!("{:3}  {} ({}, {}, {})\n", d.index, d.name, d.kind, d.backend, d.driver))?;
            match &d.refused {
                Some(why) => print(format_args!("     unusable: {why}\n"))?,
                None => {
                    let (binding, buffer) = (d.caps.max_binding >> 20, d.caps.max_buffer >> 20);
                    print(format_args!("     {subgroups}{half}; bindings to {binding} MiB, buffers to {buffer} MiB\n"))?;
                }
            }
        }
        print("cpu  the reference (always there)\n")?;
        if devices.is_empty() {
            say("no GPU was found; a software Vulkan driver would serve");
            say("(Debian and Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers)");
        }
        Ok(End::Done)
    }
}
