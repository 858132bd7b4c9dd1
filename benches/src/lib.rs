//! What the benches share: a plugin that does nothing, names of what there is to check on this machine, and what the
//! kernel says a process used.

mod child;
mod noop;
pub mod resources;
mod usage;

pub use child::{ChildUsage, measure_if_asked};
pub use noop::{Noop, pipeline};
pub use usage::{Usage, cpu_of_children, pss_of_children};
