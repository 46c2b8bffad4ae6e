//! From protobuf messages to a checked model.

use super::external::External;
use super::model::{Attribute, Dim, Function, Graph, Model, Node, ValueInfo, ValueKind};
use super::order;
use super::proto::{self, attribute_type};
use super::tensor::{OnnxTensor, element_type};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The versions of the format that are known here.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 1..=14;
/// How deep graphs may be nested in attributes of nodes.
pub(super) const MAX_DEPTH: usize = 16;

type Opsets = BTreeMap<String, i64>;

/// Checks a decoded model. `file` stands for it in errors.
pub(super) fn model(proto: proto::ModelProto, external: &mut External, file: &str) -> Result<Model> {
    let refuse = |what: String| Error::format(file, what);
    if proto.ir_version > *IR_VERSIONS.end() {
        return Err(Error::Unsupported(format!("{file}: ONNX IR version {}", proto.ir_version)));
    }
    if !IR_VERSIONS.contains(&proto.ir_version) {
        return Err(refuse(format!("no ONNX model: its IR version is {}", proto.ir_version)));
    }
    let mut opsets = opsets(proto.opset_import, file)?;
    if opsets.is_empty() && proto.ir_version < 3 {
        opsets.insert(String::new(), 1);
    }
    let graph = proto.graph.ok_or_else(|| refuse("the model has no graph".to_owned()))?;
    let mut scope = Scope { external, opsets: &opsets, in_function: false, depth: 0 };
    let mut graph = scope.graph(graph, file)?;
    order::settle(&mut graph, file)?;

    let mut functions: Vec<Function> = Vec::new();
    let mut keys = BTreeSet::new();
    for function in proto.functions {
        let function = read_function(function, external, file)?;
        if !keys.insert((function.domain.clone(), function.name.clone(), function.overload.clone())) {
            return Err(refuse(format!("function '{}' is defined twice", function.name.escape_debug())));
        }
        functions.push(function);
    }
    Ok(Model {
        ir_version: proto.ir_version,
        opsets,
        graph,
        functions,
        producer: (proto.producer_name, proto.producer_version),
        domain: proto.domain,
        version: proto.model_version,
        metadata: proto.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect(),
    })
}

fn read_function(proto: proto::FunctionProto, external: &mut External, file: &str) -> Result<Function> {
    let place = format!("{file}: function '{}'", proto.name.escape_debug());
    let opsets = opsets(proto.opset_import, &place)?;
    let mut scope = Scope { external, opsets: &opsets, in_function: true, depth: 0 };
    let nodes = proto.node.into_iter().map(|node| scope.node(node, &place)).collect::<Result<_>>()?;
    scope.in_function = false;
    let defaults = scope.attributes(proto.attribute_proto, &place)?;
    let mut function = Function {
        name: proto.name,
        domain: domain(proto.domain),
        overload: proto.overload,
        inputs: proto.input,
        outputs: proto.output,
        attributes: proto.attribute,
        defaults,
        nodes,
        opsets,
    };
    order::settle_function(&mut function, &place)?;
    Ok(function)
}

fn opsets(imports: Vec<proto::OperatorSetIdProto>, place: &str) -> Result<Opsets> {
    let mut opsets = Opsets::new();
    for import in imports {
        let name = domain(import.domain);
        let shown = format!("version {} of the operator set '{}'", import.version, name.escape_debug());
        if import.version < 1 {
            return Err(Error::format(place, format!("imports {shown}")));
        }
        if opsets.insert(name, import.version).is_some_and(|earlier| earlier != import.version) {
            return Err(Error::format(place, format!("imports {shown} and another version of it")));
        }
    }
    Ok(opsets)
}

/// The standard domain has two names.
fn domain(name: String) -> String {
    if name == "ai.onnx" { String::new() } else { name }
}

/// What surrounds a node while it is read.
struct Scope<'a> {
    external: &'a mut External,
    opsets: &'a Opsets,
    in_function: bool,
    depth: usize,
}

impl Scope<'_> {
    fn graph(&mut self, proto: proto::GraphProto, file: &str) -> Result<Graph> {
        let place = format!("{file}: graph '{}'", proto.name.escape_debug());
        let mut initializers = Vec::new();
        for tensor in proto.initializer {
            let name = tensor.name.clone();
            let place = format!("{place}, initializer '{}'", name.escape_debug());
            initializers.push((name, OnnxTensor::read(tensor, self.external, &place)?));
        }
        for tensor in proto.sparse_initializer {
            let name = tensor.values.as_ref().map(|values| values.name.clone()).unwrap_or_default();
            let place = format!("{place}, sparse initializer '{}'", name.escape_debug());
            initializers.push((name, OnnxTensor::read_sparse(tensor, self.external, &place)?));
        }
        let infos = |infos: Vec<_>| infos.into_iter().map(|info| value_info(info, &place)).collect::<Result<_>>();
        Ok(Graph {
            nodes: proto.node.into_iter().map(|node| self.node(node, &place)).collect::<Result<_>>()?,
            initializers,
            inputs: infos(proto.input)?,
            outputs: infos(proto.output)?,
            value_info: infos(proto.value_info)?,
            name: proto.name,
        })
    }

    fn node(&mut self, proto: proto::NodeProto, place: &str) -> Result<Node> {
        let mut node = Node {
            name: proto.name,
            op_type: proto.op_type,
            domain: domain(proto.domain),
            overload: proto.overload,
            inputs: proto.input,
            outputs: proto.output,
            ..Node::default()
        };
        let place = format!("{place}, {}", node.label());
        if node.op_type.is_empty() {
            return Err(Error::format(place, "it has no operator"));
        }
        let version = self.opsets.get(&node.domain);
        let unknown = || Error::format(&place, format!("no operator set of '{}' is imported", node.domain.escape_debug()));
        node.opset = *version.ok_or_else(unknown)?;
        node.attributes = self.attributes(proto.attribute, &place)?;
        Ok(node)
    }

    fn attributes(&mut self, protos: Vec<proto::AttributeProto>, place: &str) -> Result<BTreeMap<String, Attribute>> {
        let mut attributes = BTreeMap::new();
        for mut proto in protos {
            let name = std::mem::take(&mut proto.name);
            let place = format!("{place}, attribute '{}'", name.escape_debug());
            let value = self.attribute(proto, &place)?;
            if attributes.insert(name, value).is_some() {
                return Err(Error::format(place, "it occurs twice"));
            }
        }
        Ok(attributes)
    }

    fn attribute(&mut self, proto: proto::AttributeProto, place: &str) -> Result<Attribute> {
        let missing = || Error::format(place, "it has no value of its type");
        if !proto.ref_attr_name.is_empty() {
            return match self.in_function {
                true => Ok(Attribute::Ref(proto.ref_attr_name)),
                false => Err(Error::format(place, "it refers to an attribute of a function, but is in none")),
            };
        }
        Ok(match attribute_type_of(&proto) {
            attribute_type::FLOAT => Attribute::Float(proto.f.unwrap_or_default()),
            attribute_type::INT => Attribute::Int(proto.i.unwrap_or_default()),
            attribute_type::STRING => Attribute::String(proto.s.unwrap_or_default().to_vec()),
            attribute_type::FLOATS => Attribute::Floats(proto.floats),
            attribute_type::INTS => Attribute::Ints(proto.ints),
            attribute_type::STRINGS => Attribute::Strings(proto.strings.iter().map(|string| string.to_vec()).collect()),
            attribute_type::TENSOR => {
                let tensor = proto.t.ok_or_else(missing)?;
                Attribute::Tensor(OnnxTensor::read(*tensor, self.external, place)?)
            }
            attribute_type::SPARSE_TENSOR => {
                let tensor = proto.sparse_tensor.ok_or_else(missing)?;
                Attribute::Tensor(OnnxTensor::read_sparse(*tensor, self.external, place)?)
            }
            attribute_type::TENSORS => {
                let tensors = proto.tensors.into_iter().map(|tensor| OnnxTensor::read(tensor, self.external, place));
                Attribute::Tensors(tensors.collect::<Result<_>>()?)
            }
            attribute_type::SPARSE_TENSORS => {
                let tensors = proto.sparse_tensors.into_iter();
                let tensors = tensors.map(|tensor| OnnxTensor::read_sparse(tensor, self.external, place));
                Attribute::Tensors(tensors.collect::<Result<_>>()?)
            }
            attribute_type::GRAPH => Attribute::Graph(self.nested(*proto.g.ok_or_else(missing)?, place)?),
            attribute_type::GRAPHS => {
                let graphs = proto.graphs.into_iter().map(|graph| self.nested(graph, place));
                Attribute::Graphs(graphs.collect::<Result<_>>()?)
            }
            attribute_type::TYPE_PROTO => Attribute::Type(value_kind(proto.tp.map(|kind| *kind), place)?),
            attribute_type::TYPE_PROTOS => {
                let kinds = proto.type_protos.into_iter().map(|kind| value_kind(Some(kind), place));
                Attribute::Types(kinds.collect::<Result<_>>()?)
            }
            attribute_type::UNDEFINED => return Err(missing()),
            other => return Err(Error::format(place, format!("attribute type {other} is unknown"))),
        })
    }

    fn nested(&mut self, proto: proto::GraphProto, place: &str) -> Result<Arc<Graph>> {
        if self.depth == MAX_DEPTH {
            return Err(Error::Unsupported(format!("{place}: graphs are nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let graph = self.graph(proto, place);
        self.depth -= 1;
        graph.map(Arc::new)
    }
}

/// The type of an attribute; where the file leaves it out, as the first files did, that of the value that is there.
fn attribute_type_of(proto: &proto::AttributeProto) -> i32 {
    let present = [
        (proto.f.is_some(), attribute_type::FLOAT),
        (proto.i.is_some(), attribute_type::INT),
        (proto.s.is_some(), attribute_type::STRING),
        (proto.t.is_some(), attribute_type::TENSOR),
        (proto.g.is_some(), attribute_type::GRAPH),
        (!proto.floats.is_empty(), attribute_type::FLOATS),
        (!proto.ints.is_empty(), attribute_type::INTS),
        (!proto.strings.is_empty(), attribute_type::STRINGS),
        (!proto.tensors.is_empty(), attribute_type::TENSORS),
        (!proto.graphs.is_empty(), attribute_type::GRAPHS),
    ];
    let found = present.iter().find(|(present, _)| *present).map_or(attribute_type::UNDEFINED, |(_, found)| *found);
    if proto.r#type == attribute_type::UNDEFINED { found } else { proto.r#type }
}

fn value_info(proto: proto::ValueInfoProto, place: &str) -> Result<ValueInfo> {
    let place = format!("{place}, value '{}'", proto.name.escape_debug());
    Ok(ValueInfo { kind: value_kind(proto.r#type, &place)?, name: proto.name })
}

/// A type. The decoder bounds how deep they nest.
pub(super) fn value_kind(proto: Option<proto::TypeProto>, place: &str) -> Result<ValueKind> {
    use proto::TypeValue;
    let element = |proto: proto::ElementTypeProto| value_kind(proto.elem_type.map(|kind| *kind), place).map(Box::new);
    Ok(match proto.and_then(|proto| proto.value) {
        None => ValueKind::Unknown,
        Some(TypeValue::Tensor(tensor) | TypeValue::SparseTensor(tensor)) if tensor.elem_type == 0 => ValueKind::Unknown,
        Some(TypeValue::Tensor(tensor)) => {
            ValueKind::Tensor { ty: element_type(tensor.elem_type, place)?, shape: dims(tensor.shape, place)? }
        }
        Some(TypeValue::SparseTensor(tensor)) => {
            ValueKind::SparseTensor { ty: element_type(tensor.elem_type, place)?, shape: dims(tensor.shape, place)? }
        }
        Some(TypeValue::Sequence(sequence)) => ValueKind::Sequence(element(sequence)?),
        Some(TypeValue::Optional(optional)) => ValueKind::Optional(element(optional)?),
        Some(TypeValue::Map(map)) => ValueKind::Map {
            key: element_type(map.key_type, place)?,
            value: Box::new(value_kind(map.value_type.map(|kind| *kind), place)?),
        },
        Some(TypeValue::Opaque(opaque)) => ValueKind::Opaque { domain: opaque.domain, name: opaque.name },
    })
}

/// Dimensions of a value. Some exporters write -1 where a size is not known.
fn dims(proto: Option<proto::TensorShapeProto>, place: &str) -> Result<Option<Vec<Dim>>> {
    use proto::DimensionValue;
    let Some(proto) = proto else { return Ok(None) };
    let (mut dims, mut elements) = (Vec::new(), 1usize);
    for dim in proto.dim {
        dims.push(match dim.value {
            Some(DimensionValue::Value(value)) if value != -1 => {
                let size = usize::try_from(value).ok();
                let product = size.and_then(|size| elements.checked_mul(size.max(1)));
                elements = product.ok_or_else(|| Error::format(place, format!("its dimension {value} is impossible")))?;
                Dim::Value(value as usize)
            }
            // Some exporters write "?" for every dimension that they do not know.
            Some(DimensionValue::Param(name)) if !name.is_empty() && name != "?" => Dim::Param(name),
            _ => Dim::Unknown,
        });
    }
    Ok(Some(dims))
}
