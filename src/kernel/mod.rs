//! Kernels and dispatches as plain data. Nothing here knows of graphs or of wgpu.
//!
//! A [`Kernel`] says everything that decides about a compute pipeline: which shader file, which provider files are
//! linked into it, which constants. A [`Dispatch`] is one launch of a kernel: what is bound, the numbers of its
//! `params` uniform and the grid. [`link`](linker::link) turns a kernel into WGSL.
//!
//! # Bindings
//! Group 0 holds `params` (a uniform) at binding 0 and the operands from binding 1 on, in the order of the dispatch;
//! group 1 the planes of a packed weight; group 2 the operands that a tail reads by itself. Operands are `read_write` in
//! WGSL even where a kernel only reads them: all activations live in one buffer, and a buffer cannot be bound both
//! read-only and writable in one dispatch. Packed weights are never
//! written and are bound `read`, as are dense ones where an op takes nothing but a weight ([`Dispatch::constant`]).

pub mod caps;
pub mod expr;
mod extremes;
mod function;
pub mod linker;
mod operator;
mod simplify;
mod tail;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use expr::Kind;

pub use caps::Caps;
pub use expr::Expr;
pub use extremes::Extremes;
pub use tail::{Access, Tail, TailOperand};

/// A name that is static in code and owned when a plan was read from disk.
pub type Name = Cow<'static, str>;

/// Invocations of a workgroup in kernels that give one element to each invocation.
pub const LINEAR_WORKGROUP: u32 = 64;

/// Everything that decides about one compute pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kernel {
    /// Stem of the shader file with the entry point `main`, for example `mat_vec`.
    pub shader: Name,
    /// Stems of the provider files that define what the shader calls, for example `load/q4_1`.
    pub providers: Vec<Name>,
    /// `const NAME: u32 = value;` lines of the prelude.
    pub consts: Vec<(Name, u32)>,
    /// From what `tail` is generated, for shaders that call it.
    pub tail: Option<Tail>,
}

impl Kernel {
    /// A kernel of the shader file `shader`, without providers or constants.
    pub fn new(shader: &'static str) -> Self {
        Kernel { shader: shader.into(), providers: Vec::new(), consts: Vec::new(), tail: None }
    }

    /// Links a provider file.
    pub fn provider(mut self, stem: impl Into<Name>) -> Self {
        self.providers.push(stem.into());
        self
    }

    /// Adds a constant to the prelude.
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.consts.push((name.into(), value));
        self
    }

    /// Sets the fused elementwise tail.
    pub fn tail(mut self, tail: Tail) -> Self {
        self.tail = Some(tail);
        self
    }

    /// One line that no other kernel has: what [`Display`](fmt::Display) writes, and how the operands of the tail are read.
    pub fn name(&self) -> String {
        let mut name = self.to_string();
        let Some(tail) = &self.tail else { return name };
        if tail.expr == Expr::Operand(0) && tail.given != [Kind::Float] {
            name += " tail=x0";
        }
        for (i, kind) in tail.given.iter().enumerate().filter(|(_, kind)| **kind != Kind::Float) {
            name += &format!(" x{i}:{}", kind.wgsl());
        }
        for (i, operand) in tail.operands.iter().enumerate() {
            let access = format!("{:?}", operand.access).to_lowercase();
            name += &format!(" x{}:{}:{access}", i + tail.given.len(), operand.kind.wgsl());
        }
        name
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shader)?;
        for p in &self.providers {
            write!(f, "+{p}")?;
        }
        for (name, value) in &self.consts {
            write!(f, " {name}={value}")?;
        }
        match &self.tail {
            Some(tail) if tail.expr != Expr::Operand(0) => write!(f, " tail={tail}"),
            _ => Ok(()),
        }
    }
}

/// What a binding points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resource {
    /// A whole value of the plan, by its index.
    Value(usize),
    /// One plane of one row chunk of a packed weight value.
    Plane {
        /// The weight's value index.
        value: usize,
        /// The row chunk.
        chunk: usize,
        /// 0 quants, 1 scales, 2 high.
        plane: usize,
    },
}

/// One binding of a dispatch besides `params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// Bind group: see the module docs.
    pub group: u32,
    /// Binding number within the group.
    pub binding: u32,
    /// What is bound.
    pub resource: Resource,
    /// Whether the kernel writes it.
    pub writes: bool,
    /// Whether it is a weight, bound read-only.
    pub constant: bool,
}

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The pipeline.
    pub kernel: Kernel,
    /// What is bound besides `params`.
    pub bindings: Vec<Binding>,
    /// The words of the `params` uniform; f32 members as their bits.
    pub params: Vec<u32>,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
}

impl Dispatch {
    /// A dispatch with nothing bound yet.
    pub fn new(kernel: Kernel, params: Vec<u32>, grid: [u32; 3]) -> Self {
        Dispatch { kernel, bindings: Vec::new(), params, grid }
    }

    fn bind(mut self, group: u32, resource: Resource, writes: bool) -> Self {
        let first = u32::from(group == 0);
        let taken = self.bindings.iter().filter(|b| b.group == group).count() as u32;
        self.bindings.push(Binding { group, binding: first + taken, resource, writes, constant: false });
        self
    }

    /// Binds a value that the kernel reads at the next place of group 0.
    pub fn read(self, value: usize) -> Self {
        self.bind(0, Resource::Value(value), false)
    }

    /// Binds a weight as plain f32, read-only, at the next place of group 0.
    pub fn constant(self, value: usize) -> Self {
        let mut dispatch = self.bind(0, Resource::Value(value), false);
        dispatch.bindings.iter_mut().next_back().into_iter().for_each(|b| b.constant = true);
        dispatch
    }

    /// Binds a value that the kernel writes at the next place of group 0.
    pub fn write(self, value: usize) -> Self {
        self.bind(0, Resource::Value(value), true)
    }

    /// Binds the planes that exist of one chunk of a packed weight, in group 1 at their plane's number.
    pub fn weight(mut self, value: usize, chunk: usize, planes: [bool; 3]) -> Self {
        for plane in (0..3).filter(|p| planes[*p]) {
            let resource = Resource::Plane { value, chunk, plane };
            self.bindings.push(Binding { group: 1, binding: plane as u32, resource, writes: false, constant: true });
        }
        self
    }

    /// Binds an extra operand of the tail at the next place of group 2.
    pub fn tail_operand(self, value: usize) -> Self {
        self.bind(2, Resource::Value(value), false)
    }
}

/// A grid for `groups` workgroups in a line, folded into two dimensions where one cannot count so far. The shader
/// finds its place with `linear_workgroup` of `linear.wgsl` and must skip what lies beyond its end.
pub fn linear_grid(groups: usize, caps: &Caps) -> [u32; 3] {
    let limit = caps.max_grid as usize;
    let groups = groups.max(1);
    if groups <= limit { [groups as u32, 1, 1] } else { [limit as u32, groups.div_ceil(limit) as u32, 1] }
}
