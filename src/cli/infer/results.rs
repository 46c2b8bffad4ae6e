//! A model's results: into files, and as summaries.

use std::path::Path;

use serde_json::{Map, Value, json};
use wavelane::formats::onnx::write_tensor_proto;
use wavelane::formats::safetensors::write_safetensors;
use wavelane::formats::{ElementType, npy};
use wavelane::onnx::Array;
use wavelane::tensor::{Data, Tensor};
use wavelane::{Error, Result};

/// Results by name, in the model's order.
pub type Results = Vec<(String, Array)>;

/// Places of a row that a summary names.
const TOP: usize = 5;
/// Rows for which it does.
const MOST_ROWS: usize = 4;

/// How results are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Npz,
    Npy,
    SafeTensors,
    Pb,
    Json,
}

impl Format {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Error::Request`] for other names, and for one that holds one array where there are several results.
    pub fn of_path(path: &Path, results: usize) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = match extension.as_str() {
            "npz" => Format::Npz,
            "npy" => Format::Npy,
            "safetensors" => Format::SafeTensors,
            "pb" => Format::Pb,
            "json" => Format::Json,
            _ => {
                let file = path.display();
                return Err(Error::Request(format!("{file}: results are .npz, .npy, .safetensors, .pb or .json")));
            }
        };
        if results != 1 && matches!(format, Format::Npy | Format::Pb) {
            return Err(Error::Request(format!("{}: it holds one array, the model yields {results}", path.display())));
        }
        Ok(format)
    }

    fn encode(self, results: &Results) -> Result<Vec<u8>> {
        let arrays: Vec<(&str, ElementType, &Tensor)> =
            results.iter().map(|(name, array)| (name.as_str(), array.ty, &array.tensor)).collect();
        match (self, &arrays[..]) {
            (Format::Npz, arrays) => npy::write_npz(arrays),
            (Format::SafeTensors, arrays) => write_safetensors(arrays),
            (Format::Json, arrays) => Ok(format!("{}\n", whole(arrays)).into_bytes()),
            (Format::Npy, [(_, ty, tensor)]) => npy::write_npy(*ty, tensor),
            (Format::Pb, [(name, ty, tensor)]) => write_tensor_proto(*ty, tensor, name),
            (Format::Npy | Format::Pb, arrays) => Err(Error::Request(format!("{} results for one array", arrays.len()))),
        }
    }
}

/// Writes results to a temporary name beside `path` and gives them their own when they are whole.
///
/// # Errors
/// [`Error::Io`], and those of [`Format::of_path`] and of the format.
pub fn save(path: &Path, results: &Results) -> Result<()> {
    replace(path, &Format::of_path(path, results.len())?.encode(results)?)
}

/// Puts `bytes` into the file at `path`, which is never half written.
///
/// # Errors
/// [`Error::Io`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|e| {
        // Nothing is left behind; what cannot be removed is no worse than the first error.
        let _ = std::fs::remove_file(&part);
        Error::io(path, e)
    })
}

/// All elements, row by row.
fn whole(arrays: &[(&str, ElementType, &Tensor)]) -> Value {
    let array = |(name, ty, tensor): &(&str, ElementType, &Tensor)| {
        let data: Vec<Value> = match tensor.data() {
            Data::I64(values) => values.iter().map(|x| json!(x)).collect(),
            _ => tensor.to_f32().into_iter().map(number).collect(),
        };
        ((*name).to_owned(), json!({ "type": ty.name(), "shape": tensor.shape(), "data": data }))
    };
    Value::Object(arrays.iter().map(array).collect::<Map<_, _>>())
}

/// A float; JSON has no infinities, so they and NaN are texts.
fn number(x: f32) -> Value {
    if x.is_finite() { json!(x) } else { json!(x.to_string()) }
}

/// What one can say of a result in a few lines.
pub struct Summary {
    name: String,
    ty: ElementType,
    shape: Vec<usize>,
    /// The least, the mean and the greatest element, where there are any.
    range: Option<[f64; 3]>,
    /// The first rows along the last dimension: the places of their greatest elements, and these.
    top: Vec<Vec<(usize, f64)>>,
}

impl Summary {
    /// The summary of a result.
    pub fn of(name: &str, array: &Array) -> Self {
        let values: Vec<f64> = match array.tensor.data() {
            Data::I64(values) => values.iter().map(|x| *x as f64).collect(),
            _ => array.tensor.to_f32().into_iter().map(f64::from).collect(),
        };
        let shape = array.tensor.shape().to_vec();
        let range = (!values.is_empty()).then(|| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            [least, values.iter().sum::<f64>() / values.len() as f64, greatest]
        });
        let columns = shape.last().copied().unwrap_or(0);
        let rows = if columns > 1 { values.len() / columns } else { 0 };
        let best = |row: &[f64]| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            order.iter().take(TOP).map(|i| (*i, row[*i])).collect()
        };
        let top = if rows <= MOST_ROWS && rows > 0 { values.chunks_exact(columns).map(best).collect() } else { Vec::new() };
        Summary { name: name.to_owned(), ty: array.ty, shape, range, top }
    }

    /// Lines of text.
    pub fn text(&self) -> String {
        let mut text = format!("{} {}{:?}", self.name, self.ty, self.shape);
        match self.range {
            Some([least, mean, greatest]) => text += &format!("  min {least:.6} mean {mean:.6} max {greatest:.6}\n"),
            None => text += "  no elements\n",
        }
        for row in &self.top {
            let places: Vec<String> = row.iter().map(|(i, value)| format!("{i}: {value:.6}")).collect();
            text += &format!("  top {}\n", places.join("  "));
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let number = |x: f64| number(x as f32);
        let range = self.range.map_or([Value::Null, Value::Null, Value::Null], |r| r.map(number));
        let [least, mean, greatest] = range;
        let row = |row: &Vec<(usize, f64)>| Value::Array(row.iter().map(|(i, value)| json!([i, number(*value)])).collect());
        json!({
            "name": self.name, "type": self.ty.name(), "shape": self.shape, "min": least, "mean": mean, "max": greatest,
            "top": self.top.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
