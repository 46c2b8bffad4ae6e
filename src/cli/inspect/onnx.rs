//! What an ONNX file holds, and what running it for given shapes takes.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value, json};
use wavelane::formats::ElementType;
use wavelane::formats::onnx::{Attribute, Dim, Graph, Model, OnnxFile, OnnxTensor, ValueInfo, ValueKind};
use wavelane::kernel::Caps;
use wavelane::onnx::{Array, Session, StageSummary, Where, operators};
use wavelane::plan::{self, Plan};
use wavelane::session::Device;
use wavelane::shape::Symbols;
use wavelane::tensor::Tensor;
use wavelane::{DType, Error, Result};

use super::{shorten, size};
use crate::cli::debug::print_stages;
use crate::cli::infer::kind_text;
use crate::cli::output::print;

/// What a run is asked about.
#[derive(Args)]
#[command(next_help_heading = "ONNX files")]
pub struct RunFlags {
    /// The shape of an input, such as x=1x3x224x224; may be repeated [default: as declared, with 1 for open dimensions].
    #[arg(long, value_name = "NAME=DIMS")]
    input: Vec<String>,
    /// Print the stages' graphs and what each pass changed, and nothing else.
    #[arg(long)]
    dump_graph: bool,
    /// Print the stages' plans for a device without limits, and nothing else.
    #[arg(long)]
    dump_plan: bool,
}

impl RunFlags {
    /// Whether anything is asked.
    pub fn is_used(&self) -> bool {
        !self.input.is_empty() || self.dump_graph || self.dump_plan
    }
}

/// What the nodes of a graph, also those inside of others, are and hold.
#[derive(Default)]
struct Contents {
    /// Nodes of each operator, with its domain.
    nodes: BTreeMap<(String, String), usize>,
    parameters: u64,
    bytes: u64,
}

impl Contents {
    fn add_graph(&mut self, graph: &Graph) {
        graph.initializers.iter().for_each(|(_, tensor)| self.add_tensor(tensor));
        for node in &graph.nodes {
            let domain = if node.domain == "ai.onnx" { String::new() } else { node.domain.clone() };
            *self.nodes.entry((domain, node.op_type.clone())).or_default() += 1;
            for attribute in node.attributes.values() {
                attribute.graphs().iter().for_each(|g| self.add_graph(g));
                match attribute {
                    Attribute::Tensor(tensor) => self.add_tensor(tensor),
                    Attribute::Tensors(tensors) => tensors.iter().for_each(|t| self.add_tensor(t)),
                    _ => {}
                }
            }
        }
    }

    fn add_tensor(&mut self, tensor: &OnnxTensor) {
        if tensor.ty().is_float() {
            self.parameters += tensor.len() as u64;
        }
        self.bytes += tensor.raw().len() as u64;
    }
}

/// Where an operator's nodes run; none for unknown operators.
fn place(domain: &str, name: &str) -> Option<String> {
    if domain.is_empty() && ["If", "Loop", "Scan"].contains(&name) {
        return Some("followed while tracing".into());
    }
    let found = operators().find(|o| o.domain == domain && o.name == name)?;
    Some(match found.place {
        Where::Device => "device".into(),
        Where::Nowhere => "nowhere".into(),
        Where::Host(why) => format!("host: {why}"),
    })
}

/// What a run takes, over all its stages.
struct Cost {
    shapes: Map<String, Value>,
    stages: usize,
    ran: usize,
    nodes: usize,
    dispatches: usize,
    flops: u64,
    arena: u64,
    weights: u64,
}

/// Prints what the file at `path` holds, and what running it for these shapes takes.
///
/// # Errors
/// Those of [`OnnxFile::open`]; [`Error::Request`] for shapes that the model does not take.
pub fn show(path: &Path, flags: &RunFlags, as_json: bool) -> Result<()> {
    let model = OnnxFile::open(path)?.model;
    if flags.dump_graph || flags.dump_plan {
        let (stages, _) = describe(model, &flags.input)?;
        return print_stages(&stages, flags.dump_graph, flags.dump_plan.then(roomy).as_ref());
    }
    let mut contents = Contents::default();
    contents.add_graph(&model.graph);
    model.functions.iter().for_each(|f| contents.add_graph(&Graph { nodes: f.nodes.clone(), ..Graph::default() }));
    let cost = match describe(model.clone(), &flags.input).and_then(|(stages, shapes)| cost(&stages, shapes)) {
        Err(e @ Error::Request(_)) if !flags.input.is_empty() => return Err(e),
        other => other,
    };
    if as_json { print_json(&model, &contents, cost) } else { print_text(path, &model, &contents, cost) }
}

/// A device whose limits do not matter.
fn roomy() -> Caps {
    Caps { max_binding: u64::from(u32::MAX), max_buffer: u64::MAX, ..Caps::plain() }
}

/// The stages of a run of the model whose inputs have these shapes, and the shapes.
///
/// # Errors
/// Those of [`inputs_of_shapes`] and [`Session::describe`].
pub fn describe(model: Model, given: &[String]) -> Result<(Vec<StageSummary>, Map<String, Value>)> {
    let mut session = Session::new(model, &Device::Cpu)?;
    let inputs = inputs_of_shapes(&session, given)?;
    let shapes = inputs.iter().map(|(name, array)| (name.clone(), json!(array.tensor.shape()))).collect();
    Ok((session.describe(&inputs)?, shapes))
}

/// Inputs of zeros: `given` are shapes as `NAME=2x3`, others are as declared, with 1 for open dimensions.
///
/// # Errors
/// [`Error::Request`] for shapes that cannot be read or are no input's; [`Error::Unsupported`] for inputs that are no tensors.
pub fn inputs_of_shapes(session: &Session, given: &[String]) -> Result<BTreeMap<String, Array>> {
    let mut shapes = BTreeMap::new();
    for text in given {
        let (name, shape) = parse_shape(text)?;
        if !session.inputs().any(|i| i.name == name) {
            return Err(Error::Request(format!("the model has no input '{name}'")));
        }
        shapes.insert(name, shape);
    }
    let mut inputs = BTreeMap::new();
    for info in session.inputs() {
        let ValueKind::Tensor { ty, shape } = &info.kind else {
            return Err(Error::Unsupported(format!("the input '{}' of type {}", info.name, kind_text(&info.kind))));
        };
        let open = |dim: &Dim| if let Dim::Value(n) = dim { *n } else { 1 };
        let declared = || shape.iter().flatten().map(open).collect();
        let shape: Vec<usize> = shapes.get(info.name.as_str()).cloned().unwrap_or_else(declared);
        inputs.insert(info.name.clone(), zeros(info, *ty, &shape)?);
    }
    Ok(inputs)
}

/// `NAME=2x3`; nothing after the sign is a scalar.
fn parse_shape(text: &str) -> Result<(&str, Vec<usize>)> {
    let wrong = || Error::Request(format!("{text}: give NAME=DIMS, such as x=1x3x224x224"));
    let (name, dims) = text.rsplit_once('=').ok_or_else(wrong)?;
    let dims = dims.split(['x', ',']).filter(|_| !dims.is_empty());
    Ok((name, dims.map(|dim| dim.parse().map_err(|_| wrong())).collect::<Result<_>>()?))
}

/// The most elements of an input that is only described.
const MOST_ELEMENTS: usize = 1 << 28;

/// An input of that shape, all zeros.
fn zeros(info: &ValueInfo, ty: ElementType, shape: &[usize]) -> Result<Array> {
    let elements = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim)).filter(|n| *n <= MOST_ELEMENTS);
    let too_many = || Error::Request(format!("the input '{}' of shape {shape:?}: more than {MOST_ELEMENTS} elements", info.name));
    elements.ok_or_else(too_many)?;
    let dtype = if ty.is_float() { DType::F32 } else { DType::I64 };
    Ok(Array { ty, tensor: Tensor::zeros(dtype, shape)? })
}

fn cost(stages: &[StageSummary], shapes: Map<String, Value>) -> Result<Cost> {
    let graphs = stages.iter().filter_map(|s| s.graph.as_ref());
    let plans: Vec<Plan> = graphs.map(|g| plan::compile(g, &Symbols::new(), &roomy())).collect::<Result<_>>()?;
    Ok(Cost {
        shapes,
        stages: stages.len(),
        ran: stages.iter().filter(|s| s.ran).count(),
        nodes: plans.iter().map(|p| p.steps.len()).sum(),
        dispatches: plans.iter().map(|p| p.dispatches().count()).sum(),
        flops: plans.iter().flat_map(|p| &p.steps).map(|s| s.flops).sum(),
        arena: plans.iter().map(|p| p.arena_bytes).max().unwrap_or(0),
        weights: plans.iter().map(Plan::weight_bytes).max().unwrap_or(0),
    })
}

/// What a run takes of the graph: inputs without a default value.
fn inputs(graph: &Graph) -> impl Iterator<Item = &ValueInfo> {
    graph.inputs.iter().filter(|i| !graph.initializers.iter().any(|(name, _)| *name == i.name))
}

/// How messages call an operator.
fn operator_name((domain, name): &(String, String)) -> String {
    if domain.is_empty() { name.clone() } else { format!("{domain}.{name}") }
}

fn print_text(path: &Path, model: &Model, contents: &Contents, cost: Result<Cost>) -> Result<()> {
    let (tool, version) = &model.producer;
    let maker = if tool.is_empty() { String::new() } else { format!(", made by {}", format!("{tool} {version}").trim_end()) };
    print(format_args!("{} (ONNX IR version {}{maker})\n", path.display(), model.ir_version))?;
    for (domain, version) in &model.opsets {
        print(format_args!("  operator set {} {version}\n", if domain.is_empty() { "ai.onnx" } else { domain }))?;
    }
    for (key, value) in &model.metadata {
        print(format_args!("  {key} = {}\n", shorten(value)))?;
    }
    print("\ninputs\n")?;
    for info in inputs(&model.graph) {
        print(format_args!("  {} {}\n", info.name, kind_text(&info.kind)))?;
    }
    print("\noutputs\n")?;
    for info in &model.graph.outputs {
        print(format_args!("  {} {}\n", info.name, kind_text(&info.kind)))?;
    }
    print("\noperators\n")?;
    let functions: Vec<&str> = model.functions.iter().map(|f| f.name.as_str()).collect();
    for (key, count) in &contents.nodes {
        let function = functions.contains(&key.1.as_str()).then(|| "a function of the model".into());
        let place = place(&key.0, &key.1).or(function).unwrap_or_else(|| "UNKNOWN".into());
        print(format_args!("  {:5} {} ({place})\n", count, operator_name(key)))?;
    }
    print(format_args!("\n{} parameters, {} of constants\n", contents.parameters, size(contents.bytes)))?;
    match cost {
        Ok(c) => {
            print(format_args!("\na run with {}\n", Value::Object(c.shapes)))?;
            let ran = if c.ran > 0 { format!(" ({} depend on data; zeros were used)", c.ran) } else { String::new() };
            print(format_args!("  stages {}{ran}, nodes {}, dispatches {}\n", c.stages, c.nodes, c.dispatches))?;
            print(format_args!("  {:.3} GFLOP, ", c.flops as f64 / 1e9))?;
            print(format_args!("activations {}, weights {}\n", size(c.arena), size(c.weights)))
        }
        Err(e) => print(format_args!("\na run with zeros cannot be described: {e}\n  --input NAME=DIMS sets shapes\n")),
    }
}

fn print_json(model: &Model, contents: &Contents, cost: Result<Cost>) -> Result<()> {
    let value = |info: &ValueInfo| json!({ "name": info.name, "type": kind_text(&info.kind) });
    let operators: Map<String, Value> = (contents.nodes.iter())
        .map(|(key, count)| (operator_name(key), json!({ "nodes": count, "runs": place(&key.0, &key.1) })))
        .collect();
    let unknown: Vec<String> = (contents.nodes.keys())
        .filter(|(domain, name)| place(domain, name).is_none() && !model.functions.iter().any(|f| f.name == *name))
        .map(operator_name)
        .collect();
    let run = match cost {
        Ok(c) => json!({
            "shapes": c.shapes, "stages": c.stages, "stages_run": c.ran, "nodes": c.nodes, "dispatches": c.dispatches,
            "flops": c.flops, "activations": c.arena, "weights": c.weights,
        }),
        Err(e) => json!({ "error": e.to_string() }),
    };
    let object = json!({
        "ir_version": model.ir_version, "producer": [model.producer.0, model.producer.1], "opsets": model.opsets,
        "metadata": model.metadata, "inputs": inputs(&model.graph).map(value).collect::<Vec<_>>(),
        "outputs": model.graph.outputs.iter().map(value).collect::<Vec<_>>(), "operators": operators, "unknown": unknown,
        "parameters": contents.parameters, "bytes": contents.bytes, "run": run,
    });
    print(format_args!("{object}\n"))
}
