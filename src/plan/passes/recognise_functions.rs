//! Finds the long forms of functions in expressions: sigmoid, SiLU, and GELU by the error function, by tanh and by the sigmoid.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::error::Result;
use crate::graph::Graph;
use crate::kernel::Expr;
use crate::kernel::expr::{Function as F, Operator as O};
use crate::ops::{Elementwise, Op};

/// How far a constant may be from the formula's, relatively: models write them with five digits or more.
const NEAR: f64 = 2e-5;
/// What tanh is taken of in GELU is `ROOT (u + CUBE u^3)`, with ROOT the square root of 2 / pi (arXiv:1606.08415).
const CUBE: f64 = 0.044715;
const ROOT: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

/// Returns the number of nodes in whose expressions something was found.
pub fn run(graph: &mut Graph) -> Result<usize> {
    let mut found = 0;
    for node in &mut graph.nodes {
        let Op::Elementwise(Elementwise { expr: old, views }) = &node.op else { continue };
        let expr = recognised(old).simplified();
        // A function of the same operands: whatever a long form names, the short one does.
        if expr != *old && expr.operands() == old.operands() {
            node.op = Elementwise { expr, views: views.clone() }.into();
            found += 1;
        }
    }
    Ok(found)
}

fn recognised(expr: &Expr) -> Expr {
    let mut product = factors_recognised(expr);
    while let Some(shorter) = gated(&product) {
        product = shorter;
    }
    product
}

/// The expression with what its factors are made of recognised; a product is looked at as a whole.
fn factors_recognised(expr: &Expr) -> Expr {
    let expr = match expr {
        Expr::Operand(_) | Expr::Float(_) | Expr::Int(_) => return expr.clone(),
        Expr::Call(f, a) => Expr::call(*f, recognised(a)),
        Expr::Binary(O::Mul, a, b) => Expr::product(factors_recognised(a), factors_recognised(b)),
        Expr::Binary(O::Div, a, b) => Expr::binary(O::Div, factors_recognised(a), recognised(b)),
        Expr::Binary(o, a, b) => Expr::binary(*o, recognised(a), recognised(b)),
        Expr::Select(c, a, b) => Expr::select(recognised(c), recognised(a), recognised(b)),
    };
    match &expr {
        Expr::Call(F::Reciprocal, below) => match sigmoid_below(below) {
            Some(u) => Expr::call(F::Sigmoid, u),
            None => expr,
        },
        Expr::Binary(O::Div, a, below) => match sigmoid_below(below) {
            Some(u) => Expr::product((**a).clone(), Expr::call(F::Sigmoid, u)),
            None => expr,
        },
        _ => expr,
    }
}

/// `u` of `1 + e^-u`.
fn sigmoid_below(below: &Expr) -> Option<Expr> {
    let Expr::Binary(O::Add, a, b) = below else { return None };
    let power = match (float(a), float(b)) {
        (Some(1.0), _) => b,
        (_, Some(1.0)) => a,
        _ => return None,
    };
    match &**power {
        Expr::Call(F::Exp, negative) => match &**negative {
            Expr::Call(F::Neg, u) => Some((**u).clone()),
            Expr::Binary(O::Mul, u, by) => float(by).map(|by| Expr::product((**u).clone(), Expr::float(-by as f32))),
            _ => None,
        },
        _ => None,
    }
}

fn float(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Float(bits) => Some(f32::from_bits(*bits).into()),
        _ => None,
    }
}

/// A product in which some `u` meets its gate, with the function in their place.
fn gated(product: &Expr) -> Option<Expr> {
    let mut spine = Vec::new();
    factors(product, None, &mut 1.0, &mut spine);
    let inner = spine.iter().map(|(node, _)| *node).collect::<Vec<_>>();
    inner.into_iter().find_map(|u| {
        let (mut by, mut list) = (1.0, Vec::new());
        factors(product, Some(u), &mut by, &mut list);
        let list: Vec<&Expr> = list.into_iter().filter(|(_, leaf)| *leaf).map(|(node, _)| node).collect();
        let at = list.iter().position(|f| *f == u)?;
        let (gate, (function, scale)) = list.iter().enumerate().find_map(|(i, f)| Some((i, gate(f, u).filter(|_| i != at)?)))?;
        let by = by * scale;
        let others = list.iter().enumerate().filter(|(i, _)| *i != at && *i != gate).map(|(_, f)| (*f).clone());
        let whole = others.fold(Expr::call(function, u.clone()), Expr::product);
        Some(if near(by, 1.0) { whole } else { Expr::product(whole, Expr::float(by as f32)) })
    })
}

/// The nodes of a product, with whether they are factors of it, and the product `by` of its numbers; `whole` is not taken apart.
fn factors<'a>(product: &'a Expr, whole: Option<&Expr>, by: &mut f64, nodes: &mut Vec<(&'a Expr, bool)>) {
    match product {
        Expr::Float(_) => *by *= float(product).unwrap_or(1.0),
        _ if Some(product) == whole => nodes.push((product, true)),
        Expr::Binary(O::Mul, a, b) => {
            nodes.push((product, false));
            factors(a, whole, by, nodes);
            factors(b, whole, by, nodes);
        }
        Expr::Binary(O::Div, a, b) if float(b).is_some_and(|b| b != 0.0) => {
            nodes.push((product, false));
            *by /= float(b).unwrap_or(1.0);
            factors(a, whole, by, nodes);
        }
        _ => nodes.push((product, true)),
    }
}

/// The function `f` and the number `c` for which `u * gate = c f(u)`.
fn gate(gate: &Expr, u: &Expr) -> Option<(F, f64)> {
    if let Expr::Call(F::Sigmoid, p) = gate {
        return match polynomial(p, u)? {
            p if alike(p, [0.0, 1.0, 0.0, 0.0]) => Some((F::Silu, 1.0)),
            p if alike(p, [0.0, 2.0 * ROOT, 0.0, 2.0 * ROOT * CUBE]) => Some((F::GeluTanh, 1.0)),
            _ => None,
        };
    }
    let (start, slope, function, p) = affine(gate)?;
    let p = polynomial(p, u)?;
    let found = match function {
        F::Erf if alike(p, [0.0, FRAC_1_SQRT_2, 0.0, 0.0]) => F::Gelu,
        F::Tanh if alike(p, [0.0, ROOT, 0.0, ROOT * CUBE]) => F::GeluTanh,
        _ => return None,
    };
    (start != 0.0 && near(start, slope)).then_some((found, 2.0 * start))
}

/// `(a, b, f, p)` of `a + b f(p)`, with f the error function or tanh.
fn affine(expr: &Expr) -> Option<(f64, f64, F, &Expr)> {
    match expr {
        Expr::Call(f @ (F::Erf | F::Tanh), p) => Some((0.0, 1.0, *f, p)),
        Expr::Binary(o, x, y) => {
            let (inner, by) = match (float(x), float(y)) {
                (None, Some(by)) => (x, by),
                (Some(by), None) if matches!(o, O::Add | O::Mul) => (y, by),
                _ => return None,
            };
            let (a, b, f, p) = affine(inner)?;
            match o {
                O::Add => Some((a + by, b, f, p)),
                O::Sub => Some((a - by, b, f, p)),
                O::Mul => Some((a * by, b * by, f, p)),
                O::Div => Some((a / by, b / by, f, p)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The coefficients of an expression that is a polynomial in `u`, up to the third power.
fn polynomial(expr: &Expr, u: &Expr) -> Option<[f64; 4]> {
    if expr == u {
        return Some([0.0, 1.0, 0.0, 0.0]);
    }
    match expr {
        Expr::Float(_) => Some([float(expr)?, 0.0, 0.0, 0.0]),
        Expr::Call(F::Neg, a) => Some(polynomial(a, u)?.map(|c| -c)),
        Expr::Binary(O::Pow, a, n) => {
            let a = polynomial(a, u)?;
            match float(n)? {
                2.0 => times(a, a),
                3.0 => times(times(a, a)?, a),
                _ => None,
            }
        }
        Expr::Binary(o, a, b) => {
            let (a, b) = (polynomial(a, u)?, polynomial(b, u)?);
            match o {
                O::Add => Some(std::array::from_fn(|i| a[i] + b[i])),
                O::Sub => Some(std::array::from_fn(|i| a[i] - b[i])),
                O::Mul => times(a, b),
                O::Div if b[0] != 0.0 && b[1..] == [0.0; 3] => Some(a.map(|c| c / b[0])),
                _ => None,
            }
        }
        _ => None,
    }
}

fn times(a: [f64; 4], b: [f64; 4]) -> Option<[f64; 4]> {
    let mut product = [0.0; 4];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate().filter(|(_, y)| x * **y != 0.0) {
            *product.get_mut(i + j)? += x * y;
        }
    }
    Some(product)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= NEAR * a.abs().max(b.abs())
}

fn alike(a: [f64; 4], b: [f64; 4]) -> bool {
    a.iter().zip(b).all(|(a, b)| near(*a, b))
}
