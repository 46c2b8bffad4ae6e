//! The static gate: what can be said of every shader variant without a GPU.
//!
//! [`variants`] plans graphs of every op, in every way that lowering distinguishes, for every [`profile`](profiles), and so finds each
//! kernel that a device may be given. [`Report::of`] compiles one, translates it into all [`Target`] languages and counts what an
//! invocation does; [`problems`] holds reports to the limits and features of the profiles that picked them; [`Table`] to
//! the costs that were committed. `docs/gate.md` says what the figures mean.

mod cases;
mod cost;
mod feature;
pub mod profiles;
mod report;
mod shader;
mod table;
mod target;
mod variants;

pub use cases::graphs;
pub use cost::{Cost, Count, Counts};
pub use feature::Feature;
pub use profiles::Profile;
pub use report::{Report, problems, reports};
pub use shader::Shader;
pub use table::{PATH, Table};
pub use target::Target;
pub use variants::{Use, Variant, own_variants, variants, variants_of};
