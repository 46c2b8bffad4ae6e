//! What measurements become: tables, a trace file, a page.

pub mod fold;
pub mod profile;
pub mod table;
mod trace;

pub use profile::ProfileReport;
pub use table::Table;
