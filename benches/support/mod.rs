//! What the benchmarks share: arguments, the device and its roof, timing, tables.
#![allow(dead_code)] // Every benchmark uses its own part.

pub mod table;

use wavelane::gpu::{DeviceInfo, Gpu};
use wavelane::measure::{Effort, Roofs, roof};
use wavelane::session::Device;

/// Results of a benchmark, whatever failed.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What a benchmark was asked for.
pub struct Arguments {
    /// Print one JSON object at the end, and no table.
    pub json: bool,
    /// Measure the CPU reference too.
    pub cpu: bool,
    /// Measure only what has all of these in its name.
    pub words: Vec<String>,
}

impl Arguments {
    /// Reads the command line, which may hold words and these `flags`.
    pub fn parse(flags: &[&str]) -> Result<Self> {
        let mut arguments = Arguments { json: false, cpu: false, words: Vec::new() };
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--bench" => {} // cargo passes it
                flag if flag.starts_with('-') && !flags.contains(&flag) => {
                    return Err(format!("unknown flag {flag}; there are {}", flags.join(", ")).into());
                }
                "--json" => arguments.json = true,
                "--cpu" => arguments.cpu = true,
                _ => arguments.words.push(argument),
            }
        }
        Ok(arguments)
    }

    /// Whether `name` is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.words.iter().all(|word| name.contains(word))
    }
}

/// The GPU that `WAVELANE_DEVICE` asks for, by an index or a part of its name; the best where it is not set.
pub fn device() -> Result<Gpu> {
    match Device::open(std::env::var("WAVELANE_DEVICE").ok().as_deref())? {
        Device::Gpu(gpu) => Ok(gpu),
        Device::Cpu => Err("WAVELANE_DEVICE is 'cpu'; benchmarks run on a GPU device, --cpu adds the CPU reference".into()),
    }
}

/// The roofs of a device, which every figure stands beside.
pub fn roofs(gpu: &Gpu) -> Result<Roofs> {
    Ok(roof::measure(gpu, &Effort::FULL, &mut |_, _| {})?)
}

/// Prints the device and its roofs.
pub fn print_head(info: &DeviceInfo, roofs: &Roofs) {
    println!("device  {} ({}, {}, {})", info.name, info.kind, info.backend, info.driver);
    println!("roofs   {roofs}\n");
}
