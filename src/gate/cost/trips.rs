//! How often a loop runs, where that is known before anything runs.

use std::collections::HashSet;

use naga::{Block, Expression, Function, Handle, LocalVariable, Statement};

use super::constant::Constant;
use super::walk::Frame;
use crate::gate::feature::nested;

/// Loops that make more iterations count as unknown: simulating them would take long, and no compiler unrolls them.
const MOST: u64 = 1 << 16;

/// The variable of which an expression is a pointer into.
pub fn root(function: &Function, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Some(variable),
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => root(function, base),
        _ => None,
    }
}

/// The variables that a block may change.
pub fn changed(function: &Function, block: &Block) -> HashSet<Handle<LocalVariable>> {
    let mut found = HashSet::new();
    for statement in block {
        match statement {
            Statement::Store { pointer, .. } | Statement::Atomic { pointer, .. } => found.extend(root(function, *pointer)),
            Statement::CooperativeStore { data, .. } => found.extend(root(function, data.pointer)),
            Statement::Call { arguments, .. } => found.extend(arguments.iter().filter_map(|a| root(function, *a))),
            other => nested(other).for_each(|inner| found.extend(changed(function, inner))),
        }
    }
    found
}

/// The iterations of a loop that begins with its condition, as `for` and `while` do. Breaks further inside may end it sooner.
///
/// The condition must hang on constants, and on variables that nothing but the loop's continuing part changes.
pub fn count(frame: &mut Frame, body: &Block, continuing: &Block) -> Option<u64> {
    let before = frame.variables.clone();
    let inside = changed(frame.function, body);
    frame.variables.retain(|variable, _| !inside.contains(variable));
    let found = simulate(frame, body, continuing);
    frame.variables = before;
    found
}

fn simulate(frame: &mut Frame, body: &Block, continuing: &Block) -> Option<u64> {
    for iteration in 0..=MOST {
        if leaves(frame, body)? {
            return Some(iteration);
        }
        advance(frame, continuing)?;
    }
    None
}

/// Whether the condition at the beginning of a body ends the loop.
fn leaves(frame: &mut Frame, body: &Block) -> Option<bool> {
    for statement in body {
        match statement {
            Statement::Emit(range) => range.clone().for_each(|handle| {
                frame.evaluate(handle);
            }),
            Statement::If { condition, accept, reject } => {
                let stays = if frame.known(*condition)?.truth()? { accept } else { reject };
                let ends = |block: &Block| matches!(&block[..], [Statement::Break]);
                return (ends(accept) || ends(reject)).then(|| ends(stays));
            }
            // The condition may stand in a block of its own.
            Statement::Block(inner) => return leaves(frame, inner),
            _ => return None,
        }
    }
    None
}

/// Runs the continuing part of a loop for what it does to constants.
fn advance(frame: &mut Frame, continuing: &Block) -> Option<()> {
    for statement in continuing {
        match statement {
            Statement::Emit(range) => range.clone().for_each(|handle| {
                frame.evaluate(handle);
            }),
            Statement::Store { pointer, value } => {
                let value: Option<Constant> = frame.known(*value);
                frame.store(*pointer, value);
            }
            Statement::Block(inner) => advance(frame, inner)?,
            _ => return None,
        }
    }
    Some(())
}
