//! Expressions of the elements of rows as sums of products, so that all spellings of one formula look alike.

use crate::graph::ValueId;
use crate::kernel::expr::Function;

/// Terms of a sum at most: recognised formulas have fewer.
const MOST_TERMS: usize = 24;

/// What a product is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Atom {
    /// An element of the rows.
    X,
    /// The greatest element of its row.
    Largest,
    /// The sum along the row of a product of what varies along it.
    Total(Vec<Power>),
    /// An element of another value.
    Value(ValueId),
    /// A function of a sum.
    Call(Function, Sum),
    /// A sum that is raised to a power that does not multiply out.
    Sum(Sum),
    /// A sum, or 0 where it is negative.
    Positive(Sum),
}

/// An atom and its exponent in halves.
pub type Power = (Atom, i32);

/// A product: its number, and its atoms, each once.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The number.
    pub by: f64,
    /// The atoms.
    pub powers: Vec<Power>,
}

/// A sum of products that differ in their atoms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum(pub Vec<Term>);

impl Term {
    /// The exponent of `atom`, in halves.
    pub fn exponent(&self, atom: &Atom) -> i32 {
        self.powers.iter().find(|(a, _)| a == atom).map_or(0, |(_, n)| *n)
    }

    /// The term times `atom` to the power of `n` halves.
    #[must_use]
    pub fn times(mut self, atom: &Atom, n: i32) -> Term {
        match self.powers.iter_mut().find(|(a, _)| a == atom) {
            Some((_, m)) => *m += n,
            None => self.powers.push((atom.clone(), n)),
        }
        self.powers.retain(|(_, n)| *n != 0);
        self
    }

    /// Whether both have the same atoms.
    pub fn is_like(&self, other: &Term) -> bool {
        self.powers.len() == other.powers.len() && self.powers.iter().all(|(a, n)| other.exponent(a) == *n)
    }
}

impl Sum {
    /// A number.
    pub fn number(by: f64) -> Sum {
        Sum(vec![Term { by, powers: Vec::new() }])
    }

    /// An atom.
    pub fn atom(atom: Atom) -> Sum {
        Sum(vec![Term { by: 1.0, powers: vec![(atom, 2)] }])
    }

    /// The number, where the sum is one.
    pub fn literal(&self) -> Option<f64> {
        match &self.0[..] {
            [] => Some(0.0),
            [Term { by, powers }] if powers.is_empty() => Some(*by),
            _ => None,
        }
    }

    fn push(&mut self, term: Term) {
        match self.0.iter_mut().find(|t| t.is_like(&term)) {
            Some(like) => like.by += term.by,
            None => self.0.push(term),
        }
    }

    /// `self + by * other`; `None` where the sum grows too long.
    pub fn plus(mut self, other: &Sum, by: f64) -> Option<Sum> {
        other.0.iter().for_each(|t| self.push(Term { by: t.by * by, powers: t.powers.clone() }));
        (self.0.len() <= MOST_TERMS).then_some(self)
    }

    /// `self * other`; `None` where the product grows too long.
    pub fn multiplied(&self, other: &Sum) -> Option<Sum> {
        if self.0.len() * other.0.len() > MOST_TERMS {
            return None;
        }
        let mut product = Sum::default();
        for a in &self.0 {
            for b in &other.0 {
                let start = Term { by: a.by * b.by, powers: a.powers.clone() };
                product.push(b.powers.iter().fold(start, |t, (atom, n)| t.times(atom, *n)));
            }
        }
        Some(product)
    }

    /// The sum to the power of `n` halves.
    pub fn power(self, n: i32) -> Option<Sum> {
        match &self.0[..] {
            // The root of a square would be a magnitude: only numbers have roots here.
            [Term { by, powers }] if n % 2 == 0 || powers.is_empty() => {
                let by = by.powf(f64::from(n) / 2.0);
                let powers = powers.iter().map(|(a, m)| (a.clone(), m * n / 2)).collect();
                by.is_finite().then_some(Sum(vec![Term { by, powers }]))
            }
            _ if n == 4 => self.multiplied(&self),
            _ => Some(Sum(vec![Term { by: 1.0, powers: vec![(Atom::Sum(self), n)] }])),
        }
    }
}
