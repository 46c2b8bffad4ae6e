//! The GPU devices that tests run on.

use wavelane::gpu::{DeviceChoice, Gpu};

/// By a part of their names.
const NAMES: [&str; 2] = ["llvmpipe", "SwiftShader"];

/// The devices that are there. One that `WAVELANE_REQUIRE_DEVICES` names must be; another's absence is printed. At least
/// one must be there.
pub fn open() -> Vec<Gpu> {
    let required = std::env::var("WAVELANE_REQUIRE_DEVICES").unwrap_or_default();
    let open = |name: &&str| match Gpu::open(&DeviceChoice::Name(name.to_string())) {
        Ok(gpu) => Some(gpu),
        Err(e) if required.split(',').any(|r| r == *name) => panic!("the required device {name} is missing: {e}"),
        Err(e) => {
            eprintln!("skipped on {name}: {e}");
            None
        }
    };
    let found: Vec<Gpu> = NAMES.iter().filter_map(open).collect();
    assert!(!found.is_empty(), "no device to test on; scripts/test.sh installs two");
    found
}
