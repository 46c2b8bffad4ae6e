//! `wavelane verify`: every kernel that could be chosen on this device, against the reference.

use std::path::PathBuf;

use clap::Args;
use wavelane::gpu::Budget;
use wavelane::report::{VerifyReport, page};
use wavelane::session::Device;
use wavelane::verify::{self, Extent};
use wavelane::{Error, Result};

use super::End;
use super::flags::DeviceFlags;
use super::infer::replace;
use super::output::{Bar, print, say, value};

/// Arguments of `verify`.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    device: DeviceFlags,
    /// One case for each kernel that this device is given by default [the default].
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All cases, also of the kernels that would replace others, with extreme numbers among the operands and weights in parts.
    #[arg(long)]
    full: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write one self-contained page.
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

impl Verify {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        let Device::Gpu(gpu) = self.device.open_with(Budget::default())? else {
            return Err(Error::Request("the CPU is the reference: there is nothing to compare it with".into()));
        };
        let extent = if self.full { Extent::Full } else { Extent::Quick };
        let bar = Bar::new("verifying", false);
        let found = verify::verify(&gpu, extent, &mut |done, all| bar.set(done as u64, all as u64))?;
        drop(bar);
        let report = VerifyReport::new(found);
        if let Some(path) = &self.html {
            replace(path, page::of_verify(&report).as_bytes())?;
        }
        match self.json {
            true => print(format_args!("{}\n", value(&report)?))?,
            false => print(report.to_text())?,
        }
        let struck = report.found.struck.len();
        if struck > 0 {
            say(format_args!("{struck} kernels gave wrong results and are not used on this device any more"));
        }
        Ok(if struck == 0 { End::Done } else { End::Failed })
    }
}
