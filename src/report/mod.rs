//! What measurements become: tables, a trace file, a page.

pub mod bench;
mod chart;
mod flame;
pub mod fold;
pub mod page;
pub mod profile;
mod svg;
pub mod table;
mod trace;
#[cfg(feature = "gate")]
pub mod verify;

pub use bench::BenchReport;
pub use profile::ProfileReport;
pub use table::Table;
#[cfg(feature = "gate")]
pub use verify::VerifyReport;
