//! Writes protobuf messages field by field, sound or not.

/// A message that grows.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn new() -> Self {
        Message::default()
    }

    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn int(self, tag: u64, value: i64) -> Self {
        self.varint(tag << 3).varint(value as u64)
    }

    pub fn bytes(self, tag: u64, bytes: &[u8]) -> Self {
        let mut message = self.head(tag, bytes.len());
        message.0.extend_from_slice(bytes);
        message
    }

    /// The beginning of a field of `length` bytes, which are to follow.
    pub fn head(self, tag: u64, length: usize) -> Self {
        self.varint(tag << 3 | 2).varint(length as u64)
    }

    pub fn text(self, tag: u64, text: &str) -> Self {
        self.bytes(tag, text.as_bytes())
    }

    pub fn message(self, tag: u64, message: &Message) -> Self {
        self.bytes(tag, &message.0)
    }

    pub fn texts(self, tag: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |message, text| message.text(tag, text))
    }

    pub fn messages(self, tag: u64, messages: &[Message]) -> Self {
        messages.iter().fold(self, |message, inner| message.message(tag, inner))
    }
}

/// A `NodeProto`.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    Message::new().texts(1, inputs).texts(2, outputs).text(4, op)
}

/// A `NodeProto` of a domain.
pub fn call(function: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    node(function, inputs, outputs).text(7, "local")
}

/// A float `ValueInfoProto` with these dimensions.
pub fn value(name: &str, dims: &[i64]) -> Message {
    let dims: Vec<_> = dims.iter().map(|dim| Message::new().int(1, *dim)).collect();
    let tensor = Message::new().int(1, 1).message(2, &Message::new().messages(1, &dims));
    Message::new().text(1, name).message(2, &Message::new().message(1, &tensor))
}

/// A `GraphProto`.
pub fn graph(nodes: &[Message], inputs: &[&str], outputs: &[&str]) -> Message {
    let values = |names: &[&str]| names.iter().map(|name| value(name, &[2])).collect::<Vec<_>>();
    Message::new().messages(1, nodes).text(2, "g").messages(11, &values(inputs)).messages(12, &values(outputs))
}

/// A graph attribute of a node.
pub fn graph_attribute(name: &str, graph: &Message) -> Message {
    Message::new().text(1, name).message(6, graph).int(20, 5)
}

/// A `TensorProto` without data.
pub fn tensor(name: &str, ty: i64, dims: &[i64]) -> Message {
    dims.iter().fold(Message::new(), |message, dim| message.int(1, *dim)).int(2, ty).text(8, name)
}

/// A `TensorProto` with its data in another file.
pub fn external(dims: &[i64], entries: &[(&str, &str)]) -> Message {
    let entries: Vec<_> = entries.iter().map(|(key, value)| Message::new().text(1, key).text(2, value)).collect();
    tensor("w", 1, dims).messages(13, &entries).int(14, 1)
}

/// A `FunctionProto` of the domain `local`.
pub fn function(name: &str, inputs: &[&str], outputs: &[&str], nodes: &[Message]) -> Message {
    let function = Message::new().text(1, name).texts(4, inputs).texts(5, outputs).messages(7, nodes).text(10, "local");
    function.messages(9, &[opset("", 18), opset("local", 1)])
}

fn opset(domain: &str, version: i64) -> Message {
    Message::new().text(1, domain).int(2, version)
}

/// A `ModelProto`.
pub fn model(graph: &Message) -> Message {
    Message::new().int(1, 10).message(7, graph).messages(8, &[opset("ai.onnx", 21), opset("local", 1)])
}
