//! The kernels of decoding and of prompts, each beside the device's roof: `cargo bench --bench kernels`.
//!
//! `cargo bench --bench kernels -- q4_0 T=1` measures what has all of these words in its name, `--json` prints one JSON object
//! instead of a table. `WAVELANE_DEVICE` picks the device by an index or a part of its name; the default is the best one.
//!
//! `wavelane::measure::kernels` says which kernels there are and under which roof each is. A share above 100 % says that the data stayed in a cache, which the roof's does not, or that the
//! machine was busier while the roof was measured.

mod support;

use serde_json::json;
use support::table::{Cell, Table};
use support::{Arguments, Result, device, print_head, roofs};
use wavelane::measure::Effort;
use wavelane::measure::kernels::{self, Bound, Scope};

fn main() -> Result<()> {
    let arguments = Arguments::parse(&["--json"])?;
    let gpu = device()?;
    let roofs = roofs(&gpu)?;
    if !arguments.json {
        print_head(gpu.info(), &roofs);
    }
    let columns =
        &[("kernel", 34), ("shader", 14), ("us", 10), ("spread %", 8), ("rate", 8), ("unit", 7), ("roof", 8), ("% of roof", 9)];
    let mut table = Table::new(columns, arguments.json);
    for case in kernels::cases(Scope::All)?.into_iter().filter(|case| arguments.wants(&case.name)) {
        let figure = kernels::measure_one(&gpu, &roofs, case, &Effort::FULL)?;
        let (rate, unit) = match figure.bound {
            Bound::Read | Bound::Copy => (figure.bytes_per_second(), "GB/s"),
            Bound::F32 => (figure.flops_per_second(), "GFLOP/s"),
        };
        table.row(vec![
            Cell::Text(figure.name),
            Cell::Text(figure.shader),
            Cell::Number(figure.seconds * 1e6, 1),
            Cell::Number(figure.spread * 100.0, 1),
            Cell::Number(rate / 1e9, 2),
            unit.into(),
            Cell::Number(rate / figure.share / 1e9, 1),
            Cell::Number(figure.share * 100.0, 1),
        ]);
    }
    if arguments.json {
        println!("{}", json!({ "device": gpu.info(), "roofs": roofs, "kernels": table.into_json() }));
    }
    Ok(())
}
