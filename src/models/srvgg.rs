//! SRVGGNetCompact: pictures enlarged by a chain of convolutions, the small networks of Real-ESRGAN (Wang et al. 2021,
//! arXiv:2107.10833), with the tensor names of torch.

use std::collections::HashSet;
use std::path::Path;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::formats::SafeTensors;
use crate::graph::{Graph, GraphBuilder, ValueId};
use crate::kernel::Expr;
use crate::kernel::expr::Operator;
use crate::ops::{Conv, Elementwise, Reshape, View};
use crate::plan::passes;
use crate::quant::dequantize;
use crate::tensor::{Tensor, Weight};

/// Red, green, blue.
const COLOURS: usize = 3;

/// A model: 3 x 3 convolutions, each but the last followed by a PReLU, whose result is added to the enlarged picture.
#[derive(Clone, Debug)]
pub struct Srvgg {
    layers: Vec<Layer>,
    scale: usize,
}

/// `body.<i>` and, where a PReLU follows, `body.<i + 1>`.
#[derive(Clone, Debug)]
struct Layer {
    index: usize,
    /// `[M, C, 3, 3]`.
    weight: Weight,
    /// `[M, 1, 1]`.
    bias: Weight,
    /// What a PReLU multiplies numbers below zero by, `[M, 1, 1]`.
    slope: Option<Weight>,
}

impl Srvgg {
    /// Opens a safetensors file; see [`Srvgg::from_safetensors`].
    ///
    /// # Errors
    /// As [`SafeTensors::open`] and [`Srvgg::from_safetensors`].
    pub fn open(path: &Path) -> Result<Self> {
        Srvgg::from_safetensors(&SafeTensors::open(path)?)
    }

    /// Reads `body.0.weight`, `body.0.bias`, the slopes `body.1.weight`, `body.2.weight` and so on. The weights are copied.
    ///
    /// # Errors
    /// [`Error::Format`] naming a tensor that is missing or has not the shape that the one before asks for;
    /// [`Error::Unsupported`] naming one that has no part in such a model.
    pub fn from_safetensors(file: &SafeTensors) -> Result<Self> {
        let (mut layers, mut channels) = (Vec::new(), COLOURS);
        loop {
            let layer = Layer::read(file, 2 * layers.len(), channels)?;
            channels = layer.bias.rows();
            let last = layer.slope.is_none();
            layers.push(layer);
            if last {
                break;
            }
        }
        let scale = (channels / COLOURS).isqrt();
        if scale * scale * COLOURS != channels {
            let what = format!("{channels} filters are no squares of pixels in {COLOURS} colours");
            return Err(Error::format(weight_name(2 * layers.len() - 2), what));
        }
        let used: HashSet<String> = layers.iter().flat_map(Layer::tensors).collect();
        match file.tensors().iter().find(|tensor| !used.contains(&tensor.name)) {
            Some(tensor) => Err(Error::Unsupported(format!("the tensor '{}' in a model of this family", tensor.name))),
            None => Ok(Srvgg { layers, scale }),
        }
    }

    /// How many times as wide and as high the result is.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// How many pixels around a pixel bear on its enlargement, in each direction. Tiles that overlap by twice as much give the
    /// same picture as the whole.
    pub fn reach(&self) -> usize {
        self.layers.len()
    }

    /// The optimised graph for pictures of one size: `[1, 3, height, width]`, RGB from 0 to 1, to
    /// `[1, 3, height * scale, width * scale]`, which may leave that range a little.
    ///
    /// # Errors
    /// [`Error::Shape`] for a size of 0, or so large that no address names its elements.
    pub fn graph(&self, height: usize, width: usize) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let picture = b.input("picture", DType::F32, [1.into(), COLOURS.into(), height.into(), width.into()]);
        let mut h = picture;
        for layer in &self.layers {
            h = layer.build(&mut b, h)?; // [1, M, height, width]
        }
        let scale = self.scale;
        // The shuffle: filter (c, i, j) holds row i and column j of the square that pixel (y, x) becomes in colour c.
        let squares = b.one("squares", Reshape { shape: vec![COLOURS, scale, scale, height, width] }, &[h])?;
        let order = View::transpose(&[COLOURS, scale, scale, height, width], &[0, 3, 1, 4, 2]);
        let shuffled = b.one("shuffle", order, &[squares])?; // [c, y, i, x, j]
        let nearest = b.one("nearest", Reshape { shape: vec![COLOURS, height, 1, width, 1] }, &[picture])?;
        let sum = b.one("residual", Elementwise::add(), &[shuffled, nearest])?;
        let enlarged = b.one("enlarged", Reshape { shape: vec![1, COLOURS, height * scale, width * scale] }, &[sum])?;
        b.output(enlarged);
        Ok(passes::optimize(b.finish()?)?.0)
    }
}

impl Layer {
    fn read(file: &SafeTensors, index: usize, channels: usize) -> Result<Self> {
        let name = weight_name(index);
        let weight = read(file, &name)?;
        let filters = match *weight.shape() {
            [filters, found, 3, 3] if found == channels && filters > 0 => filters,
            _ => return Err(misshapen(&name, &weight, &format!("[filters, {channels}, 3, 3]"))),
        };
        let by_filter = |name: &str| {
            let tensor = read(file, name)?;
            match *tensor.shape() {
                [n] if n == filters => Weight::from_tensor(tensor.reshaped(&[filters, 1, 1])?),
                _ => Err(misshapen(name, &tensor, &format!("[{filters}]"))),
            }
        };
        let slope = weight_name(index + 1);
        let slope = file.tensor(&slope).map(|_| by_filter(&slope)).transpose()?;
        Ok(Layer { index, weight: Weight::from_tensor(weight)?, bias: by_filter(&bias_name(index))?, slope })
    }

    /// The names of the tensors that it has in the file.
    fn tensors(&self) -> Vec<String> {
        let own = [weight_name(self.index), bias_name(self.index)];
        own.into_iter().chain(self.slope.as_ref().map(|_| weight_name(self.index + 1))).collect()
    }

    /// `h` is `[1, C, height, width]`, the result `[1, M, height, width]`.
    fn build(&self, b: &mut GraphBuilder, h: ValueId) -> Result<ValueId> {
        let i = self.index;
        let weight = b.weight(weight_name(i), self.weight.clone());
        let bias = b.weight(bias_name(i), self.bias.clone());
        let same = Conv { pads_begin: vec![1; 2], pads_end: vec![1; 2], ..Conv::plain(2) };
        let h = b.one(format!("body.{i}.conv"), same, &[h, weight])?;
        let h = b.one(format!("body.{i}"), Elementwise::add(), &[h, bias])?;
        let Some(slope) = &self.slope else { return Ok(h) };
        let slope = b.weight(weight_name(i + 1), slope.clone());
        b.one(format!("body.{}", i + 1), prelu(), &[h, slope])
    }
}

/// `x` where it is not below zero, else `x * slope`.
fn prelu() -> Elementwise {
    let (x, slope) = (Expr::operand(0), Expr::operand(1));
    let below = Expr::binary(Operator::Less, x.clone(), Expr::float(0.0));
    Expr::select(below, Expr::product(x.clone(), slope), x).into()
}

/// A tensor of floats of any kind as f32, which is what convolutions take.
fn read(file: &SafeTensors, name: &str) -> Result<Tensor> {
    let missing = || Error::format(format!("tensor '{name}'"), "missing");
    let info = file.tensor(name).ok_or_else(missing)?;
    let data = file.data(info)?;
    let dtype = info.dtype.ok_or_else(missing)?;
    // The file holds as many bytes as the shape asks for.
    let mut values = vec![0.0; info.shape.iter().product()];
    dequantize(dtype, data, &mut values)?;
    Tensor::f32(&info.shape, values)
}

fn misshapen(name: &str, tensor: &Tensor, expected: &str) -> Error {
    Error::format(name, format!("the shape {:?} is not {expected}", tensor.shape()))
}

fn weight_name(index: usize) -> String {
    format!("body.{index}.weight")
}

fn bias_name(index: usize) -> String {
    format!("body.{index}.bias")
}
