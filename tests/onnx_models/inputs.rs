//! Inputs as the index describes them.

use std::collections::BTreeMap;

use wavelane::formats::ElementType;
use wavelane::formats::npy::read_npz;
use wavelane::media::{Audio, Picture};
use wavelane::onnx::Array;
use wavelane::tensor::Tensor;

use super::index::{Case, Content, Stream, folder};

/// Bytes that the arrays of a golden file may take.
const LIMIT: usize = 64 << 20;

/// The arrays of the case's npz.
pub fn arrays(case: &Case) -> BTreeMap<String, (ElementType, Tensor)> {
    read_npz(&std::fs::read(folder().join(format!("{}.npz", case.case))).unwrap(), LIMIT).unwrap()
}

/// What the model is given in its first call, or in every call.
pub fn of_case(case: &Case) -> BTreeMap<String, Array> {
    let mut inputs = BTreeMap::new();
    for (number, input) in case.inputs.iter().enumerate() {
        let array = match &input.content {
            Content::Pixels { file, crops, height, width, channels, mean, std } => {
                floats(&[crops.len(), 3, *height, *width], pixels(file, crops, [*height, *width], channels, mean, std))
            }
            Content::Samples { files, shape } => {
                floats(shape, files.iter().flat_map(|f| padded(&samples(f, 1), 0, shape[1])).collect())
            }
            Content::Array { dtype } => {
                let (_, tensor) = arrays(case).remove(&format!("in{number}")).unwrap();
                Array { ty: integer(dtype), tensor }
            }
            Content::Scalar { dtype, value } => Array { ty: integer(dtype), tensor: Tensor::i64(&[], vec![*value]).unwrap() },
            Content::Stream(stream) => {
                let zeros = || floats(&stream.state_shape, vec![0.0; stream.state_shape.iter().product()]);
                inputs.extend(stream.state.keys().map(|name| (name.clone(), zeros())));
                chunks(stream).remove(0)
            }
        };
        inputs.insert(input.name.clone(), array);
    }
    inputs
}

/// The input of every call of a stream: `[rows, context + chunk]`, a row for each stream or, of a single one, for each chunk.
pub fn chunks(stream: &Stream) -> Vec<Array> {
    let samples = samples(&stream.file, stream.step);
    let row = stream.context + stream.chunk;
    let mut first = 0;
    let call = |count: &usize| {
        let at = |start: &usize, n: usize| {
            let begin = start * stream.chunk;
            // Zeros stand before the stream's own first sample, whatever the file has there.
            let own = padded(&samples, begin, (n + 1) * stream.chunk);
            let history = [vec![0.0; stream.context], own].concat();
            history[n * stream.chunk..n * stream.chunk + row].to_vec()
        };
        let numbers = first..first + count;
        first += count;
        let rows: Vec<Vec<f32>> = numbers.flat_map(|n| stream.starts.iter().map(move |s| at(s, n))).collect();
        floats(&[rows.len(), row], rows.concat())
    };
    stream.calls.iter().map(call).collect()
}

fn floats(shape: &[usize], values: Vec<f32>) -> Array {
    Array { ty: ElementType::Float, tensor: Tensor::f32(shape, values).unwrap() }
}

fn integer(dtype: &str) -> ElementType {
    match dtype {
        "int32" => ElementType::Int32,
        "int64" => ElementType::Int64,
        other => panic!("the element type {other}"),
    }
}

fn pixels(
    file: &str,
    crops: &[[usize; 2]],
    [height, width]: [usize; 2],
    channels: &str,
    mean: &[f32; 3],
    std: &[f32; 3],
) -> Vec<f32> {
    let picture = Picture::open(&folder().join(file)).unwrap();
    let (rgb, row) = (picture.rgb(), picture.width() as usize);
    let mut planes = Vec::with_capacity(crops.len() * 3 * height * width);
    for [left, top] in crops {
        for (c, channel) in channels.chars().enumerate() {
            let byte = "rgb".find(channel).unwrap();
            for y in *top..top + height {
                let value = |x: usize| (f32::from(rgb[(y * row + x) * 3 + byte]) / 255.0 - mean[c]) / std[c];
                planes.extend((*left..left + width).map(value));
            }
        }
    }
    planes
}

/// Every `step`-th sample of a file of one channel.
fn samples(file: &str, step: usize) -> Vec<f32> {
    let audio = Audio::open(&folder().join(file)).unwrap();
    audio.channels()[0].iter().step_by(step).copied().collect()
}

/// `count` samples from `start` on, zeros where there are none.
fn padded(samples: &[f32], start: usize, count: usize) -> Vec<f32> {
    samples.iter().skip(start).copied().chain(std::iter::repeat(0.0)).take(count).collect()
}
