//! Calls of a model's own functions become their bodies.

use super::message::{Message, call, function, graph, graph_attribute, model, node};
use super::{data, read};
use wavelane::error::Error;
use wavelane::formats::onnx::{Attribute, Model, Node, OnnxFile, expand_functions};

fn expand(calls: &[Message], functions: &[Message]) -> Result<Model, Error> {
    let mut model = read(&model(&graph(calls, &["x"], &["y"])).messages(25, functions))?;
    expand_functions(&mut model)?;
    assert!(model.functions.is_empty());
    Ok(model)
}

fn refusal(calls: &[Message], functions: &[Message]) -> String {
    expand(calls, functions).expect_err("a broken function").to_string()
}

fn shown(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| format!("{}({}) -> {}", node.op_type, node.inputs.join(","), node.outputs.join(","))).collect()
}

#[test]
fn bodies_replace_calls_also_in_bodies_and_branches() {
    let mut model = OnnxFile::open(&data("functions.onnx")).unwrap().model;
    expand_functions(&mut model).unwrap();
    let nodes = &model.graph.nodes;
    let expected = [
        // A result that is an operand.
        "Identity(x) -> z",
        "ReduceSum(x) -> call1/Leaky/s",
        "Sub(call1/Leaky/s,call1/Leaky/s) -> call1/Leaky/zero",
        "Greater(call1/Leaky/s,call1/Leaky/zero) -> call1/Leaky/c",
        "If(call1/Leaky/c) -> call0/Twice/h",
        "ReduceSum(call0/Twice/h) -> call2/Leaky/s",
        "Sub(call2/Leaky/s,call2/Leaky/s) -> call2/Leaky/zero",
        "Greater(call2/Leaky/s,call2/Leaky/zero) -> call2/Leaky/c",
        "If(call2/Leaky/c) -> y",
    ];
    let mut found = shown(nodes);
    found.sort();
    let mut sorted = expected.to_vec();
    sorted.sort();
    assert_eq!(found, sorted);
    assert!(nodes.iter().all(|node| node.opset == 20));
    let branch = |result: &str| {
        let node = nodes.iter().find(|node| node.outputs == [result]).unwrap();
        node.attributes["else_branch"].graphs()[0].clone()
    };
    let alpha = |result: &str| branch(result).nodes[0].attributes["value_float"].clone();
    assert_eq!(alpha("call0/Twice/h"), Attribute::Float(2.0), "the call's attribute");
    assert_eq!(alpha("y"), Attribute::Float(0.5), "the function's default");
    let body = branch("y");
    assert_eq!(shown(&body.nodes), ["Constant() -> call2/Leaky/a", "Mul(call0/Twice/h,call2/Leaky/a) -> call2/Leaky/r"]);
    assert_eq!(body.outputs[0].name, "call2/Leaky/r");
}

#[test]
fn calls_in_branches_see_the_names_around_them() {
    let add = function("F", &["a", "b"], &["c"], &[node("Add", &["a", "b"], &["t"]), node("Neg", &["t"], &["c"])]);
    let branch = graph(&[call("F", &["x", "x"], &["r"])], &[], &["r"]);
    let model = expand(&[node("If", &["x"], &["y"]).message(5, &graph_attribute("then_branch", &branch))], &[add]).unwrap();
    let body = &model.graph.nodes[0].attributes["then_branch"].graphs()[0];
    assert_eq!(shown(&body.nodes), ["Add(x,x) -> call0/F/t", "Neg(call0/F/t) -> r"]);
}

#[test]
fn names_that_hide_an_operand_do_not_hide_another_with_the_same_value() {
    // F(a, b): the loop's body has an `a` of its own and uses `b` from outside. Both are x here.
    let body = graph(&[node("Add", &["a", "b"], &["r"])], &["a"], &["r"]);
    let looped = function("F", &["a", "b"], &["c"], &[node("Loop", &["a"], &["c"]).message(5, &graph_attribute("body", &body))]);
    let model = expand(&[call("F", &["x", "x"], &["y"])], &[looped]).unwrap();
    let body = &model.graph.nodes[0].attributes["body"].graphs()[0];
    assert_eq!(shown(&body.nodes), ["Add(call0/F/a,x) -> call0/F/r"]);
}

#[test]
fn new_names_differ_from_those_that_are_there() {
    let f = function("F", &["a"], &["c"], &[node("Neg", &["a"], &["t"]), node("Neg", &["t"], &["c"])]);
    let model = expand(&[node("Abs", &["x"], &["call0/F/t"]), call("F", &["call0/F/t"], &["y"])], &[f]).unwrap();
    assert_eq!(shown(&model.graph.nodes), ["Abs(x) -> call0/F/t", "Neg(call0/F/t) -> call1/F/t", "Neg(call1/F/t) -> y"]);
}

#[test]
fn operands_and_results_may_be_left_out() {
    let f = function("F", &["a", "b"], &["c", "d"], &[node("Clip", &["a", "b"], &["c"]), node("Neg", &["c"], &["d"])]);
    let model = expand(&[call("F", &["x"], &["", "y"])], &[f]).unwrap();
    assert_eq!(shown(&model.graph.nodes), ["Clip(x,) -> call0/F/c", "Neg(call0/F/c) -> y"]);
}

#[test]
fn recursion_is_refused() {
    let f = function("F", &["a"], &["b"], &[call("G", &["a"], &["b"])]);
    let g = function("G", &["a"], &["b"], &[call("F", &["a"], &["b"])]);
    assert!(refusal(&[call("F", &["x"], &["y"])], &[f, g]).contains("the function calls itself"));
    let branch = graph(&[call("H", &["a"], &["r"])], &[], &["r"]);
    let h = function("H", &["a"], &["b"], &[node("If", &["a"], &["b"]).message(5, &graph_attribute("then_branch", &branch))]);
    assert!(refusal(&[call("H", &["x"], &["y"])], &[h]).contains("the function calls itself"));
}

#[test]
fn expansion_has_bounds() {
    let level = |i: usize, calls: usize| {
        let next = format!("F{}", i + 1);
        let names: Vec<_> = (0..=calls).map(|k| format!("v{k}")).collect();
        let body: Vec<_> = (0..calls).map(|k| call(&next, &[&names[k]], &[&names[k + 1]])).collect();
        function(&format!("F{i}"), &["v0"], &[&names[calls]], &body)
    };
    let last = |i: usize| function(&format!("F{i}"), &["a"], &["b"], &[node("Neg", &["a"], &["b"])]);
    let tower = |levels: usize, calls: usize| (0..levels).map(|i| level(i, calls)).chain([last(levels)]).collect::<Vec<_>>();
    let run = |functions: &[Message]| expand(&[call("F0", &["x"], &["y"])], functions).map(|model| model.graph.nodes.len());
    assert_eq!(run(&tower(3, 4)).unwrap(), 64);
    assert!(matches!(run(&tower(30, 10)), Err(Error::Unsupported(what)) if what.contains("too many nodes")));
    assert!(matches!(run(&tower(200, 1)), Err(Error::Unsupported(what)) if what.contains("calls inside each other")));
}

#[test]
fn malformed_functions_and_calls_are_refused() {
    let f = || function("F", &["a"], &["b"], &[node("Neg", &["a"], &["b"])]);
    let y = || call("F", &["x"], &["y"]);
    assert!(refusal(&[call("F", &["x", "x"], &["y"])], &[f()]).contains("only 1 operands"));
    assert!(refusal(&[call("F", &["x"], &["y", "z"])], &[f()]).contains("1 results"));
    assert!(refusal(&[y()], &[f(), f()]).contains("function 'F' is defined twice"));
    assert!(
        refusal(&[y()], &[function("F", &["a"], &["b"], &[node("Neg", &["x"], &["b"])])])
            .contains("uses 'x', which is not defined")
    );
    assert!(refusal(&[y()], &[function("F", &["a", "a"], &["b"], &[node("Neg", &["a"], &["b"])])]).contains("defined twice"));
    assert!(refusal(&[y()], &[function("F", &["a"], &["a", "a"], &[])]).contains("listed twice"));
    let reference = Message::new().text(1, "alpha").text(21, "alpha").int(20, 1);
    let outside = node("Neg", &["x"], &["y"]).message(5, &reference);
    assert!(refusal(&[outside], &[]).contains("refers to an attribute of a function, but is in none"));
    let inside = function("F", &["a"], &["b"], &[node("Neg", &["a"], &["b"]).message(5, &reference)]);
    assert!(expand(&[y()], &[inside]).unwrap().graph.nodes[0].attributes.is_empty(), "neither call nor function has it");
}
