//! The header of a `.npy` file: a Python dictionary in text form with three known keys.

use crate::error::{Error, Result};
use crate::formats::element::ElementType;

/// The most dimensions that NumPy has.
const MAX_DIMENSIONS: usize = 64;

/// NumPy's codes of the types that have a counterpart.
const CODES: [(&str, ElementType); 14] = [
    ("b1", ElementType::Bool),
    ("i1", ElementType::Int8),
    ("i2", ElementType::Int16),
    ("i4", ElementType::Int32),
    ("i8", ElementType::Int64),
    ("u1", ElementType::Uint8),
    ("u2", ElementType::Uint16),
    ("u4", ElementType::Uint32),
    ("u8", ElementType::Uint64),
    ("f2", ElementType::Float16),
    ("f4", ElementType::Float),
    ("f8", ElementType::Double),
    ("c8", ElementType::Complex64),
    ("c16", ElementType::Complex128),
];

/// What a header says.
pub(super) struct Header {
    pub ty: ElementType,
    pub big_endian: bool,
    pub columns_first: bool,
    pub shape: Vec<usize>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::format("NumPy header", error.to_string()))?;
        let mut parser = Parser { text, rest: text };
        let (mut ty, mut columns_first, mut shape) = (None, None, None);
        parser.expect("{")?;
        while !parser.accept("}") {
            let key = parser.string()?;
            parser.expect(":")?;
            match key {
                "descr" => ty = Some(parser.element_type()?),
                "fortran_order" => columns_first = Some(parser.boolean()?),
                "shape" => shape = Some(parser.shape()?),
                other => return Err(parser.fail(format!("the key '{}' is unknown", other.escape_debug()))),
            }
            if !parser.accept(",") {
                parser.expect("}")?;
                break;
            }
        }
        if !parser.rest.trim().is_empty() {
            return Err(parser.fail("more text follows".to_owned()));
        }
        match (ty, columns_first, shape) {
            (Some((ty, big_endian)), Some(columns_first), Some(shape)) => Ok(Header { ty, big_endian, columns_first, shape }),
            _ => Err(parser.fail("descr, fortran_order or shape is missing".to_owned())),
        }
    }

    /// The text of the header, without padding.
    pub(super) fn write(&self) -> Result<String> {
        let code = CODES.iter().find(|(_, ty)| *ty == self.ty);
        let (code, _) = code.ok_or_else(|| Error::Unsupported(format!("{} in a NumPy array", self.ty)))?;
        let order = match (self.ty.bits(), self.big_endian) {
            (8, _) => '|',
            (_, true) => '>',
            (_, false) => '<',
        };
        let columns_first = if self.columns_first { "True" } else { "False" };
        // A tuple of one has its comma too.
        let shape: String = self.shape.iter().map(|dim| format!("{dim}, ")).collect();
        let shape = if self.shape.len() > 1 { shape.trim_end_matches(", ") } else { shape.trim_end() };
        Ok(format!("{{'descr': '{order}{code}', 'fortran_order': {columns_first}, 'shape': ({shape}), }}"))
    }
}

/// Reads the text from its beginning to its end.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fail(&self, what: String) -> Error {
        Error::format(format!("NumPy header at byte {}", self.text.len() - self.rest.len()), what)
    }

    fn accept(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.accept(token) { Ok(()) } else { Err(self.fail(format!("'{token}' is expected"))) }
    }

    fn string(&mut self) -> Result<&'a str> {
        let trimmed = self.rest.trim_start();
        let quote = trimmed.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
        let parts = quote.and_then(|quote| trimmed[1..].split_once(quote));
        let (string, rest) = parts.ok_or_else(|| self.fail("a text in quotes is expected".to_owned()))?;
        self.rest = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool> {
        match (self.accept("True"), self.accept("False")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(self.fail("True or False is expected".to_owned())),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.accept(")") {
            shape.push(self.number()?);
            if shape.len() > MAX_DIMENSIONS {
                return Err(self.fail(format!("more than {MAX_DIMENSIONS} dimensions")));
            }
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize> {
        let trimmed = self.rest.trim_start();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (digits, rest) = trimmed.split_at(end);
        let number = digits.parse().map_err(|_| self.fail("a size is expected".to_owned()))?;
        // Python 2 wrote long integers with a suffix.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        Ok(number)
    }

    /// The element type, and whether its bytes are in big-endian order.
    fn element_type(&mut self) -> Result<(ElementType, bool)> {
        if self.rest.trim_start().starts_with('[') {
            return Err(Error::Unsupported("NumPy array of structures".to_owned()));
        }
        let descr = self.string()?;
        let code = descr.trim_start_matches(['<', '>', '|', '=']);
        let found = CODES.iter().find(|(known, _)| *known == code && descr.len() <= code.len() + 1);
        let (_, ty) = found.ok_or_else(|| Error::Unsupported(format!("NumPy array of '{}'", descr.escape_debug())))?;
        Ok((*ty, descr.starts_with('>')))
    }
}
