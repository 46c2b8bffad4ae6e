//! From the types that a file happens to use to the types that a caller wants.

use super::value::{Array, Strings, Value};

/// What [`Gguf::require`](super::Gguf::require) and [`Gguf::optional`](super::Gguf::optional) can return.
///
/// Integers may be stored in any integer type that holds the value (writers differ in what they choose), f32 also as f64.
pub trait FromValue<'a>: Sized {
    /// Converts `value`, or says what is wrong with it.
    ///
    /// # Errors
    /// A half sentence that begins with what was found, for an error that names the key.
    fn from_value(value: &'a Value) -> Result<Self, String>;
}

fn mismatch<T>(value: &Value, expected: &str) -> Result<T, String> {
    match value {
        Value::Array(array) => Err(format!("an array of {} instead of {expected}", array.kind_and_len().0)),
        _ => Err(format!("{} '{value}' instead of {expected}", value.kind())),
    }
}

fn integer(value: &Value) -> Option<i128> {
    Some(match *value {
        Value::U8(value) => value.into(),
        Value::I8(value) => value.into(),
        Value::U16(value) => value.into(),
        Value::I16(value) => value.into(),
        Value::U32(value) => value.into(),
        Value::I32(value) => value.into(),
        Value::U64(value) => value.into(),
        Value::I64(value) => value.into(),
        _ => return None,
    })
}

/// All elements of `array` as `T`, or `None` when it holds no integers or one that `T` does not.
fn integers<T: TryFrom<i128>>(array: &Array) -> Option<Vec<T>> {
    fn all<S: Copy + Into<i128>, T: TryFrom<i128>>(values: &[S]) -> Option<Vec<T>> {
        values.iter().map(|value| T::try_from((*value).into()).ok()).collect()
    }
    match array {
        Array::U8(values) => all(values),
        Array::I8(values) => all(values),
        Array::U16(values) => all(values),
        Array::I16(values) => all(values),
        Array::U32(values) => all(values),
        Array::I32(values) => all(values),
        Array::U64(values) => all(values),
        Array::I64(values) => all(values),
        _ => None,
    }
}

macro_rules! integer_types {
    ($($type:ident)*) => {$(
        impl FromValue<'_> for $type {
            fn from_value(value: &Value) -> Result<Self, String> {
                let found = integer(value).and_then(|value| value.try_into().ok());
                found.map_or_else(|| mismatch(value, concat!("an integer that fits ", stringify!($type))), Ok)
            }
        }

        impl FromValue<'_> for Vec<$type> {
            fn from_value(value: &Value) -> Result<Self, String> {
                let found = if let Value::Array(array) = value { integers(array) } else { None };
                found.map_or_else(|| mismatch(value, concat!("integers that fit ", stringify!($type))), Ok)
            }
        }
    )*};
}
integer_types!(u8 i32 u32 u64 usize);

impl FromValue<'_> for f32 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match *value {
            Value::F32(value) => Ok(value),
            Value::F64(value) => Ok(value as f32),
            _ => mismatch(value, "a float"),
        }
    }
}

impl FromValue<'_> for Vec<f32> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(Array::F32(values)) => Ok(values.clone()),
            Value::Array(Array::F64(values)) => Ok(values.iter().map(|value| *value as f32).collect()),
            _ => mismatch(value, "floats"),
        }
    }
}

impl FromValue<'_> for bool {
    fn from_value(value: &Value) -> Result<Self, String> {
        if let Value::Bool(value) = value { Ok(*value) } else { mismatch(value, "a bool") }
    }
}

impl<'a> FromValue<'a> for &'a [bool] {
    fn from_value(value: &'a Value) -> Result<Self, String> {
        if let Value::Array(Array::Bool(values)) = value { Ok(values) } else { mismatch(value, "bools") }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: &'a Value) -> Result<Self, String> {
        let Value::String(text) = value else { return mismatch(value, "a string") };
        std::str::from_utf8(text).map_err(|error| format!("a string that is not UTF-8: {error}"))
    }
}

/// The strings as the bytes they are.
impl<'a> FromValue<'a> for &'a Strings {
    fn from_value(value: &'a Value) -> Result<Self, String> {
        if let Value::Array(Array::String(strings)) = value { Ok(strings) } else { mismatch(value, "strings") }
    }
}

impl<'a> FromValue<'a> for Vec<&'a str> {
    fn from_value(value: &'a Value) -> Result<Self, String> {
        let strings = <&Strings>::from_value(value)?;
        let text = |(index, bytes)| std::str::from_utf8(bytes).map_err(|error| format!("string {index} is not UTF-8: {error}"));
        strings.iter().enumerate().map(text).collect()
    }
}
