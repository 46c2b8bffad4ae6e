//! The walk through a function's statements.

use std::collections::HashMap;

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{Block, Expression, Function, Handle, LocalVariable, Module, Statement, SwitchCase, SwitchValue, TypeInner};

use super::constant::Constant;
use super::{Cost, Count, Counts, operation, trips};

/// A function while it is walked through, with what is known of its values.
pub struct Frame<'a> {
    pub function: &'a Function,
    module: &'a Module,
    info: &'a FunctionInfo,
    arguments: Vec<Option<Constant>>,
    /// What variables hold, as far as it is known.
    pub variables: HashMap<Handle<LocalVariable>, Constant>,
    /// What expressions yielded when they were last evaluated, as far as it is known.
    values: HashMap<Handle<Expression>, Constant>,
}

impl<'a> Frame<'a> {
    fn new(module: &'a Module, function: &'a Function, info: &'a FunctionInfo, arguments: Vec<Option<Constant>>) -> Self {
        let mut frame = Frame { function, module, info, arguments, variables: HashMap::new(), values: HashMap::new() };
        for (variable, local) in function.local_variables.iter() {
            if let Some(value) = local.init.and_then(|init| frame.known(init)) {
                frame.variables.insert(variable, value);
            }
        }
        frame
    }

    fn type_of(&self, expression: Handle<Expression>) -> &'a TypeInner {
        self.info[expression].ty.inner_with(&self.module.types)
    }

    /// The value of an expression that needs no evaluation or was evaluated last with it.
    pub fn known(&self, expression: Handle<Expression>) -> Option<Constant> {
        match self.function.expressions[expression] {
            Expression::Literal(literal) => Constant::of(literal),
            Expression::Constant(constant) => match self.module.global_expressions[self.module.constants[constant].init] {
                Expression::Literal(literal) => Constant::of(literal),
                _ => None,
            },
            Expression::ZeroValue(ty) => match self.module.types[ty].inner {
                TypeInner::Scalar(scalar) => Constant::zero(scalar),
                _ => None,
            },
            Expression::FunctionArgument(index) => self.arguments.get(index as usize).copied().flatten(),
            _ => self.values.get(&expression).copied(),
        }
    }

    /// Evaluates an expression; whether its value is known.
    pub fn evaluate(&mut self, expression: Handle<Expression>) -> bool {
        let value = match self.function.expressions[expression] {
            Expression::Load { pointer } => match self.function.expressions[pointer] {
                Expression::LocalVariable(variable) => self.variables.get(&variable).copied(),
                _ => None,
            },
            Expression::Unary { op, expr } => self.known(expr).and_then(|value| value.unary(op)),
            Expression::Binary { op, left, right } => match (self.known(left), self.known(right)) {
                (Some(left), Some(right)) => Constant::binary(op, left, right),
                _ => None,
            },
            Expression::Select { condition, accept, reject } => match self.known(condition).and_then(Constant::truth) {
                Some(true) => self.known(accept),
                Some(false) => self.known(reject),
                None => None,
            },
            Expression::As { expr, kind, .. } => self.known(expr).and_then(|value| value.convert(kind)),
            _ => None,
        };
        match value {
            Some(value) => self.values.insert(expression, value),
            None => self.values.remove(&expression),
        };
        value.is_some()
    }

    /// Stores a value, where it is known.
    pub fn store(&mut self, pointer: Handle<Expression>, value: Option<Constant>) {
        let Some(variable) = trips::root(self.function, pointer) else { return };
        let whole = matches!(self.function.expressions[pointer], Expression::LocalVariable(_));
        match value.filter(|_| whole) {
            Some(value) => self.variables.insert(variable, value),
            None => self.variables.remove(&variable),
        };
    }

    /// Keeps what is known of variables after either of two ways.
    fn keep_common(&mut self, other: &HashMap<Handle<LocalVariable>, Constant>) {
        self.variables.retain(|variable, value| other.get(variable) == Some(value));
    }
}

/// What a block costs, and whether nothing after it is reached.
#[derive(Clone, Copy, Default)]
struct Way {
    cost: Cost,
    ends: bool,
}

/// The walk through a module. Functions are counted once for all calls with the same constants.
pub struct Walk<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
    functions: HashMap<(Handle<Function>, Vec<Option<Constant>>), Cost>,
}

impl<'a> Walk<'a> {
    pub fn new(module: &'a Module, info: &'a ModuleInfo) -> Self {
        Walk { module, info, functions: HashMap::new() }
    }

    /// The cost of the module's first entry point.
    pub fn entry_point(mut self) -> Cost {
        let Some(entry) = self.module.entry_points.first() else { return Cost::default() };
        let mut frame = Frame::new(self.module, &entry.function, self.info.get_entry_point(0), Vec::new());
        self.block(&mut frame, &entry.function.body).cost
    }

    fn call(&mut self, function: Handle<Function>, arguments: Vec<Option<Constant>>) -> Cost {
        let key = (function, arguments);
        if let Some(cost) = self.functions.get(&key) {
            return *cost;
        }
        let mut frame = Frame::new(self.module, &self.module.functions[function], &self.info[function], key.1.clone());
        let cost = self.block(&mut frame, &self.module.functions[function].body).cost;
        self.functions.insert(key, cost);
        cost
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a [Statement]) -> Way {
        let mut cost = Cost::default();
        for (at, statement) in block.iter().enumerate() {
            let way = match statement {
                Statement::Block(inner) => self.block(frame, inner),
                Statement::If { condition, accept, reject } => match frame.known(*condition).and_then(Constant::truth) {
                    Some(true) => self.block(frame, accept),
                    Some(false) => self.block(frame, reject),
                    None => {
                        let way = self.branch(frame, [accept, reject], &block[at + 1..]);
                        return Way { cost: cost.plus(&way.cost), ..way };
                    }
                },
                Statement::Return { .. } | Statement::Break | Statement::Continue => Way { ends: true, ..Way::default() },
                other => Way { cost: self.statement(frame, other), ends: false },
            };
            cost = cost.plus(&way.cost);
            if way.ends {
                return Way { cost, ends: true };
            }
        }
        Way { cost, ends: false }
    }

    /// Either of two ways, and the rest of the block after those that lead there.
    fn branch(&mut self, frame: &mut Frame<'a>, [accept, reject]: [&'a Block; 2], rest: &'a [Statement]) -> Way {
        let before = frame.variables.clone();
        let accepted = self.block(frame, accept);
        let after = std::mem::replace(&mut frame.variables, before);
        let rejected = self.block(frame, reject);
        match (accepted.ends, rejected.ends) {
            (true, true) => return Way { cost: accepted.cost.or(&rejected.cost), ends: true },
            (true, false) => {}
            (false, true) => frame.variables = after,
            (false, false) => frame.keep_common(&after),
        }
        let rest = self.block(frame, rest);
        let through = |way: Way| if way.ends { way.cost } else { way.cost.plus(&rest.cost) };
        Way { cost: through(accepted).or(&through(rejected)), ends: rest.ends }
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement) -> Cost {
        let mut once = Counts::default();
        match statement {
            Statement::Emit(range) => range.clone().for_each(|handle| {
                // What is known costs nothing: any compiler folds it.
                if !frame.evaluate(handle) {
                    let expression = &frame.function.expressions[handle];
                    operation::evaluation(self.module, expression, frame.type_of(handle), |h| frame.type_of(h), &mut once);
                }
            }),
            Statement::Switch { selector, cases } => return self.switch(frame, *selector, cases),
            Statement::Loop { body, continuing, .. } => return self.repeat(frame, body, continuing),
            Statement::Store { pointer, value } => {
                let value = frame.known(*value);
                frame.store(*pointer, value);
                operation::access(self.module, frame.type_of(*pointer), true, &mut once);
            }
            Statement::Call { function, arguments, .. } => {
                let known = arguments.iter().map(|argument| frame.known(*argument)).collect();
                arguments.iter().for_each(|argument| frame.store(*argument, None));
                return self.call(*function, known);
            }
            Statement::ControlBarrier(_) => once.add(Count::Barriers, 1),
            Statement::WorkGroupUniformLoad { pointer, .. } => {
                once.add(Count::Barriers, 2);
                operation::access(self.module, frame.type_of(*pointer), false, &mut once);
            }
            Statement::Atomic { .. } => once.add(Count::Atomics, 1),
            Statement::SubgroupBallot { .. }
            | Statement::SubgroupGather { .. }
            | Statement::SubgroupCollectiveOperation { .. } => once.add(Count::Subgroup, 1),
            Statement::CooperativeStore { .. } => once.add(Count::Matrix, 1),
            // The rest is no work, or belongs to other stages than compute.
            _ => {}
        }
        Cost { once, ..Cost::default() }
    }

    fn switch(&mut self, frame: &mut Frame<'a>, selector: Handle<Expression>, cases: &'a [SwitchCase]) -> Cost {
        let selected = frame.known(selector).and_then(Constant::bits);
        if let Some(bits) = selected {
            let matches = |case: &SwitchCase| match case.value {
                SwitchValue::U32(value) => value == bits,
                SwitchValue::I32(value) => value as u32 == bits,
                _ => false,
            };
            let default = |case: &SwitchCase| case.value == SwitchValue::Default;
            let found = cases.iter().position(matches).or_else(|| cases.iter().position(default));
            return found.map_or(Cost::default(), |first| self.case(frame, &cases[first..]));
        }
        let before = frame.variables.clone();
        let mut after = None;
        let mut cost = Cost::default();
        for first in 0..cases.len() {
            frame.variables = before.clone();
            cost = cost.or(&self.case(frame, &cases[first..]));
            if let Some(after) = &after {
                frame.keep_common(after);
            }
            after = Some(frame.variables.clone());
        }
        cost
    }

    /// The first of these cases, and those into which it falls through.
    fn case(&mut self, frame: &mut Frame<'a>, cases: &'a [SwitchCase]) -> Cost {
        let last = cases.iter().position(|case| !case.fall_through).unwrap_or(cases.len().saturating_sub(1));
        cases.iter().take(last + 1).fold(Cost::default(), |cost, case| cost.plus(&self.block(frame, &case.body).cost))
    }

    fn repeat(&mut self, frame: &mut Frame<'a>, body: &'a Block, continuing: &'a Block) -> Cost {
        let iterations = trips::count(frame, body, continuing);
        if iterations == Some(0) {
            return Cost::default();
        }
        // What an iteration changes is unknown in the next, and after the loop.
        let changed = [body, continuing].map(|block| trips::changed(frame.function, block));
        let forget = |frame: &mut Frame| frame.variables.retain(|variable, _| !changed.iter().any(|set| set.contains(variable)));
        forget(frame);
        let iteration = self.block(frame, body).cost.plus(&self.block(frame, continuing).cost);
        forget(frame);
        match iterations {
            Some(n) => iteration.times(n),
            None => iteration.repeated(),
        }
    }
}
