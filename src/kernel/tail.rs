//! The generated function `tail`: a scalar expression with the operands that it reads by itself.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use super::expr::{Expr, Kind};

/// Which element of an operand goes with an element of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// The one at the same index.
    Element,
    /// The one at the index of the output's channel: the column of a product, the channel of a convolution.
    Channel,
    /// The one at the index of the output's row, which the kernel's function `output_row` finds.
    Row,
    /// The only one.
    Scalar,
    /// Four, at the same index: the kernel counts quads, and so does every other operand that is not [`Access::Scalar`].
    Quad,
    /// Eight, as four words of 64 bits, in the same way.
    Eight,
    /// The one that the kernel's function `strided` finds with the strides of that number.
    Strided(u32),
}

/// An operand that the tail reads by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TailOperand {
    /// What its elements are.
    pub kind: Kind,
    /// Which of them is read.
    pub access: Access,
}

/// A generated function `tail`. A kernel that computes values by itself hands them over as the first operands and the tail
/// reads the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tail {
    /// The expression.
    pub expr: Expr,
    /// The operands that the tail reads.
    pub operands: Vec<TailOperand>,
    /// What the first operands are, which the kernel hands over: two by a product of paired rows, one by most kernels, none by the
    /// elementwise kernel.
    pub given: Vec<Kind>,
}

impl Tail {
    /// The kind of operand `i`.
    pub fn kind(&self, i: u32) -> Kind {
        let read = |i: usize| self.operands.get(i).map_or(Kind::Float, |o| o.kind);
        self.given.get(i as usize).copied().unwrap_or_else(|| read(i as usize - self.given.len()))
    }

    /// The kind of the value.
    pub fn value(&self) -> Kind {
        self.expr.kind(&|i| Some(self.kind(i))).unwrap_or(Kind::Float)
    }

    /// The WGSL of `tail(x0: f32, .., index: u32, channel: u32)`, with i32 where integers are handed over, or of `tail(index: u32)`
    /// where nothing is, with a storage array for every operand that it reads. Where operands are read by quads or eights it yields
    /// one, of eights the words.
    pub fn wgsl(&self) -> String {
        let any = |access| self.operands.iter().any(|o| o.access == access);
        let (quads, eights) = (any(Access::Quad), any(Access::Eight));
        let mut text = format!("alias Value = {};\n", self.value().wgsl());
        for (i, operand) in self.operands.iter().enumerate() {
            let kind = operand.kind.wgsl();
            let element = match operand.access {
                Access::Quad => format!("vec4<{kind}>"),
                Access::Eight => "vec4<u64>".into(),
                _ => kind.into(),
            };
            let _ = writeln!(text, "@group(2) @binding({i}) var<storage, read_write> tail_{i}: array<{element}>;");
        }
        let expr = self.expr.wgsl(&|i| self.kind(i));
        if quads || eights {
            let named: Vec<String> = (0..self.operands.len()).map(|i| format!("x{i}: {}", self.kind(i as u32).wgsl())).collect();
            let _ = writeln!(text, "fn tail_one({}) -> Value {{\n    return {expr};\n}}", named.join(", "));
        }
        let given: String = self.given.iter().enumerate().map(|(i, kind)| format!("x{i}: {}, ", kind.wgsl())).collect();
        let channel = if self.given.is_empty() { "" } else { ", channel: u32" };
        let value = match () {
            _ if eights => "Words",
            _ if quads => "vec4<Value>",
            _ => "Value",
        };
        let _ = writeln!(text, "fn tail({given}index: u32{channel}) -> {value} {{");
        for (i, operand) in self.operands.iter().enumerate() {
            let at = match operand.access {
                Access::Element | Access::Quad | Access::Eight => "index".into(),
                Access::Channel => "channel".into(),
                Access::Row => "output_row(index)".into(),
                Access::Scalar => "0u".into(),
                Access::Strided(k) => format!("strided(index, {k}u)"),
            };
            let read = format!("tail_{i}[{at}]");
            let read = if operand.access == Access::Eight { format!("words_of({read})") } else { read };
            let _ = writeln!(text, "    let x{} = {read};", i + self.given.len());
        }
        let four = |half| format!("vec4<Value>({})", ["x", "y", "z", "w"].map(|c| self.call_one(half, c)).join(", "));
        let _ = match () {
            _ if eights => {
                let words = ["low", "high"].map(|half| format!("bitcast<vec4<u32>>({})", four(half)));
                writeln!(text, "    return Words({});\n}}", words.join(", "))
            }
            _ if quads => writeln!(text, "    return {};\n}}", four("")),
            _ => writeln!(text, "    return {expr};\n}}"),
        };
        text
    }

    /// The WGSL of the same for kernels that have four values of one channel at a time, whose operands they read once:
    /// `tail_channel(channel: u32)` reads those that a channel has in common, `tail_four(x0: vec4<f32>, indices: vec4<u32>, channel)`
    /// the others.
    pub fn wgsl_of_four(&self) -> String {
        let first = self.given.len();
        let operands = || self.operands.iter().enumerate().map(move |(i, operand)| (i, format!("x{}", i + first), operand));
        let (each, common): (Vec<_>, Vec<_>) = operands().partition(|(_, _, o)| o.access == Access::Element);
        let members = |list: &[String]| if list.is_empty() { "none: u32".to_owned() } else { list.join(", ") };
        let place = |access| if access == Access::Channel { "channel" } else { "0u" };
        let typed: Vec<String> = common.iter().map(|(_, x, o)| format!("{x}: {}", o.kind.wgsl())).collect();
        let read: Vec<String> = common.iter().map(|(i, _, o)| format!("tail_{i}[{}]", place(o.access))).collect();
        let read = if read.is_empty() { "0u".to_owned() } else { read.join(", ") };
        let given = |i: usize| format!("x{i}: {}", self.kind(i as u32).wgsl());
        let named: Vec<String> = (0..first + self.operands.len()).map(given).collect();
        let expr = self.expr.wgsl(&|i| self.kind(i));
        let mut text = format!("struct TailChannel {{\n    {},\n}}\n", members(&typed));
        let _ = writeln!(text, "fn tail_channel(channel: u32) -> TailChannel {{\n    return TailChannel({read});\n}}");
        let _ = writeln!(text, "fn tail_one({}) -> Value {{\n    return {expr};\n}}", named.join(", "));
        let _ = writeln!(text, "fn tail_four(x0: vec4<f32>, indices: vec4<u32>, channel: TailChannel) -> vec4<Value> {{");
        for (i, x, operand) in &each {
            let four = ["x", "y", "z", "w"].map(|c| format!("tail_{i}[indices.{c}]")).join(", ");
            let _ = writeln!(text, "    let {x} = vec4<{}>({four});", operand.kind.wgsl());
        }
        let call = |c: &str| {
            let argument = |(_, x, o): (usize, String, &TailOperand)| match o.access {
                Access::Element => format!("{x}.{c}"),
                _ => format!("channel.{x}"),
            };
            let arguments: Vec<String> = [format!("x0.{c}")].into_iter().chain(operands().map(argument)).collect();
            format!("tail_one({})", arguments.join(", "))
        };
        let _ = writeln!(text, "    return vec4<Value>({});\n}}", ["x", "y", "z", "w"].map(call).join(", "));
        text
    }

    /// The call for one component of quads, or of a half of eights.
    fn call_one(&self, half: &str, component: &str) -> String {
        let argument = |(i, operand): (usize, &TailOperand)| match operand.access {
            Access::Quad => format!("x{i}.{component}"),
            Access::Eight => format!("bitcast<{}>(x{i}.{half}.{component})", operand.kind.wgsl()),
            _ => format!("x{i}"),
        };
        let arguments: Vec<String> = self.operands.iter().enumerate().map(argument).collect();
        format!("tail_one({})", arguments.join(", "))
    }
}

impl From<Expr> for Tail {
    /// A tail of f32 operands that lie as the output does, after the one handed over.
    fn from(expr: Expr) -> Self {
        let operand = TailOperand { kind: Kind::Float, access: Access::Element };
        Tail { operands: vec![operand; expr.operands().max(1) as usize - 1], expr, given: vec![Kind::Float] }
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expr.wgsl(&|i| self.kind(i)))
    }
}
