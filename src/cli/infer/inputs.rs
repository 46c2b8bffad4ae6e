//! From files to a model's inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wavelane::formats::onnx::{Dim, ValueInfo, ValueKind, read_tensor_proto};
use wavelane::formats::{ElementType, SafeTensors, npy};
use wavelane::media::preset::Fit;
use wavelane::media::{Audio, Picture, Preset};
use wavelane::onnx::{Array, Session};
use wavelane::tensor::{Data, Tensor};
use wavelane::{Error, Result};

use super::kind_text;

/// The largest archive, unpacked.
const MAX_ARCHIVE: usize = 4 << 30;

/// Makes inputs of files.
pub struct Reader {
    inputs: Vec<ValueInfo>,
    preset: Option<&'static Preset>,
    rate: u32,
}

impl Reader {
    /// A reader for the model of `session`: pictures come through `preset`, sound at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::Request`] for an unknown preset.
    pub fn new(session: &Session, preset: Option<&str>, rate: u32) -> Result<Self> {
        let preset = preset.map(Preset::named).transpose()?;
        Ok(Reader { inputs: session.inputs().cloned().collect(), preset, rate })
    }

    /// The inputs that the command line gives: `NAME=FILE`, or a file alone.
    ///
    /// # Errors
    /// Those of the files' readers; [`Error::Request`] for inputs that are missing, given twice or of another type.
    pub fn read_all(&self, given: &[String]) -> Result<BTreeMap<String, Array>> {
        let mut inputs = BTreeMap::new();
        for text in given {
            let (name, path) = self.split(text)?;
            for (name, array) in self.read(name, &path)? {
                if inputs.insert(name.clone(), array).is_some() {
                    return Err(Error::Request(format!("the input '{name}' is given twice")));
                }
            }
        }
        self.check_complete(&inputs)?;
        Ok(inputs)
    }

    /// The inputs in a file of a batch.
    ///
    /// # Errors
    /// As [`Reader::read_all`].
    pub fn read_alone(&self, path: &Path) -> Result<BTreeMap<String, Array>> {
        let inputs = self.read(None, path)?.into_iter().collect();
        self.check_complete(&inputs)?;
        Ok(inputs)
    }

    fn check_complete(&self, inputs: &BTreeMap<String, Array>) -> Result<()> {
        let missing = self.inputs.iter().filter(|i| !inputs.contains_key(&i.name));
        let missing: Vec<String> = missing.map(|i| format!("{} {}", i.name, kind_text(&i.kind))).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Request(format!("missing inputs: {}", missing.join("; ")))) }
    }

    /// The name before the sign, where it is an input's, and the file.
    fn split<'a>(&self, text: &'a str) -> Result<(Option<&'a str>, PathBuf)> {
        let known = self.inputs.iter().map(|i| i.name.as_str());
        let named = known.filter_map(|name| text.strip_prefix(name)?.strip_prefix('=').map(|file| (name.len(), file)));
        if let Some((length, file)) = named.max_by_key(|(length, _)| *length) {
            return Ok((Some(&text[..length]), file.into()));
        }
        match text.split_once('=') {
            Some((name, _)) if !Path::new(text).exists() => {
                let known: Vec<&str> = self.inputs.iter().map(|i| i.name.as_str()).collect();
                Err(Error::Request(format!("the model has no input '{name}'; it takes {}", known.join(", "))))
            }
            _ => Ok((None, text.into())),
        }
    }

    /// The input of that name, or the only one.
    fn info(&self, name: Option<&str>, path: &Path) -> Result<&ValueInfo> {
        match (name, &self.inputs[..]) {
            (None, [only]) => Ok(only),
            (None, inputs) => {
                let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
                let example = names.first().copied().unwrap_or("NAME");
                let file = path.display();
                Err(Error::Request(format!("{file}: for which of {}? Give --input {example}={file}", names.join(", "))))
            }
            (Some(name), inputs) => {
                let found = inputs.iter().find(|i| i.name == name);
                found.ok_or_else(|| Error::Request(format!("{}: the model has no input '{name}'", path.display())))
            }
        }
    }

    /// What a file holds for the input `name`; without a name, archives hold inputs by theirs.
    fn read(&self, name: Option<&str>, path: &Path) -> Result<Vec<(String, Array)>> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let one = |make: &dyn Fn(&ValueInfo) -> Result<Array>| {
            let info = self.info(name, path)?;
            Ok(vec![(info.name.clone(), make(info)?)])
        };
        match extension.as_str() {
            "npy" => one(&|info| conform(npy::read_npy(&bytes(path)?).map_err(|e| about(e, path))?, info, path)),
            "pb" => one(&|info| {
                let proto = read_tensor_proto(&bytes(path)?).map_err(|e| about(e, path))?;
                conform((proto.ty(), proto.to_tensor()?), info, path)
            }),
            "npz" => self.pick(npy::read_npz(&bytes(path)?, MAX_ARCHIVE).map_err(|e| about(e, path))?, name, path),
            "safetensors" => {
                let file = SafeTensors::open(path)?;
                let array = |t: &wavelane::formats::safetensors::TensorInfo| Ok((t.name.clone(), file.array(&t.name)?));
                let arrays: Result<BTreeMap<_, _>> = file.tensors().iter().map(array).collect();
                self.pick(arrays?, name, path)
            }
            _ if is_picture(path) => one(&|info| self.picture(path, info)),
            _ if is_sound(path) => one(&|info| self.sound(path, info)),
            _ => Err(Error::Request(format!(
                "{}: inputs are .npy, .npz, .safetensors, .pb, pictures (.png, .jpg, .webp) and sound (.wav, .flac, .mp3, .ogg)",
                path.display()
            ))),
        }
    }

    /// The arrays of an archive as inputs. Where one input is asked for, it is the array of its name, or the only one.
    fn pick(
        &self,
        mut arrays: BTreeMap<String, (ElementType, Tensor)>,
        name: Option<&str>,
        path: &Path,
    ) -> Result<Vec<(String, Array)>> {
        let Some(name) = name else {
            let input = |(name, array): (String, _)| {
                let info = self.info(Some(&name), path)?;
                Ok((name, conform(array, info, path)?))
            };
            return arrays.into_iter().map(input).collect();
        };
        let only = if arrays.len() == 1 { arrays.pop_first().map(|(_, array)| array) } else { arrays.remove(name) };
        let missing = || Error::Request(format!("{}: it holds several arrays, none called '{name}'", path.display()));
        Ok(vec![(name.to_owned(), conform(only.ok_or_else(missing)?, self.info(Some(name), path)?, path)?)])
    }

    fn picture(&self, path: &Path, info: &ValueInfo) -> Result<Array> {
        let picture = Picture::open(path).map_err(|e| about(e, path))?;
        let batch = match self.preset {
            Some(preset) => preset.prepare(&[picture]),
            None => {
                let Some((width, height)) = fixed_size(info) else {
                    let kind = kind_text(&info.kind);
                    let what = format!("{}: how does '{}' {kind} take a picture? Give --preset", path.display(), info.name);
                    return Err(Error::Request(what));
                };
                let stretch = Preset { fit: Fit::Stretch { width, height }, ..Preset::named("unit")?.clone() };
                stretch.prepare(&[picture])
            }
        }
        .map_err(|e| about(e, path))?;
        floats(batch.shape.to_vec(), batch.data, info, path)
    }

    /// One channel at the wanted rate, with dimensions of 1 around as the input has them.
    fn sound(&self, path: &Path, info: &ValueInfo) -> Result<Array> {
        let sound = Audio::open(path).map_err(|e| about(e, path))?.to_mono().resample(self.rate)?;
        let samples = sound.into_channels().into_iter().next().unwrap_or_default();
        let n = samples.len();
        let shape = match &info.kind {
            ValueKind::Tensor { shape: Some(shape), .. } if shape.len() == 1 => vec![n],
            ValueKind::Tensor { shape: Some(shape), .. } if shape.len() == 3 => {
                if shape.last() == Some(&Dim::Value(1)) {
                    vec![1, n, 1]
                } else {
                    vec![1, 1, n]
                }
            }
            _ => vec![1, n],
        };
        floats(shape, samples, info, path)
    }
}

/// Width and height of an input `[N, 3, height, width]` that fixes both.
fn fixed_size(info: &ValueInfo) -> Option<(u32, u32)> {
    match &info.kind {
        ValueKind::Tensor { shape: Some(shape), .. } => match shape[..] {
            [_, Dim::Value(3), Dim::Value(height), Dim::Value(width)] => {
                Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Floats of a picture or a sound in the type that the input has.
fn floats(shape: Vec<usize>, mut data: Vec<f32>, info: &ValueInfo, path: &Path) -> Result<Array> {
    let ValueKind::Tensor { ty, .. } = info.kind else {
        return conform((ElementType::Float, Tensor::f32(&shape, data)?), info, path);
    };
    if !ty.is_float() {
        return Err(Error::Request(format!("{}: the input '{}' takes {ty}, not floats", path.display(), info.name)));
    }
    data.iter_mut().for_each(|x| *x = ty.round(*x, true));
    Ok(Array { ty, tensor: Tensor::f32(&shape, data)? })
}

/// The array in the element type that the input has.
///
/// # Errors
/// [`Error::Request`] where the type is another and some element would change.
fn conform((ty, tensor): (ElementType, Tensor), info: &ValueInfo, path: &Path) -> Result<Array> {
    let wanted = match &info.kind {
        ValueKind::Tensor { ty, .. } => *ty,
        // The session says what is wrong with it.
        _ => ty,
    };
    if wanted == ty {
        return Ok(Array { ty, tensor });
    }
    let refuse = || {
        let what = format!("{}: {ty} elements for the input '{}', which takes {wanted}", path.display(), info.name);
        Error::Request(format!("{what}; some would change"))
    };
    let keeps = |x: f32| wanted.round(x, false) == x || x.is_nan();
    let tensor = match (tensor.data(), wanted.integer_range()) {
        (Data::I64(values), Some((low, high))) => {
            // Of unsigned ones of 64 bits the host has the bits.
            let value = |x: i64| if ty == ElementType::Uint64 { i128::from(x as u64) } else { i128::from(x) };
            if !values.iter().all(|x| (low..=high).contains(&value(*x))) {
                return Err(refuse());
            }
            tensor
        }
        (Data::I64(values), None) if wanted.is_float() && ty != ElementType::Uint64 => {
            let floats: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            if !floats.iter().zip(values).all(|(f, x)| f64::from(*f) == *x as f64 && x.abs() < 1 << 53 && keeps(*f)) {
                return Err(refuse());
            }
            Tensor::f32(tensor.shape(), floats)?
        }
        // Reading doubles rounded them, so nobody knows.
        (Data::F32(values), None) if wanted.is_float() && (ty != ElementType::Double) && values.iter().all(|x| keeps(*x)) => {
            tensor
        }
        _ => return Err(refuse()),
    };
    Ok(Array { ty: wanted, tensor })
}

/// Whether a file is a picture, by its name.
pub fn is_picture(path: &Path) -> bool {
    has_extension(path, &["png", "jpg", "jpeg", "webp"])
}

/// Whether a file is sound, by its name.
pub fn is_sound(path: &Path) -> bool {
    has_extension(path, &["wav", "flac", "mp3", "ogg"])
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| known.iter().any(|k| e.eq_ignore_ascii_case(k)))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

/// The error with the file's name, where it has none.
fn about(error: Error, path: &Path) -> Error {
    match error {
        Error::Format { place, what } => Error::Format { place: format!("{}: {place}", path.display()), what },
        Error::Unsupported(what) => Error::Unsupported(format!("{}: {what}", path.display())),
        Error::Shape { op, what } => Error::Shape { op: format!("{}: {op}", path.display()), what },
        other => other,
    }
}
