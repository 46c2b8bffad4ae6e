//! The rules of names: defined once, defined at all, in order.

use super::message::{Message, graph, graph_attribute, model, node, tensor};
use super::{read, refusal};

fn order(nodes: &[Message]) -> Vec<String> {
    let model = read(&model(&graph(nodes, &["x"], &["y"]))).unwrap();
    model.graph.nodes.into_iter().map(|node| node.op_type).collect()
}

#[test]
fn nodes_are_put_in_order() {
    let nodes = [node("C", &["b"], &["y"]), node("A", &["x"], &["a"]), node("B", &["a", "x", "a"], &["b"])];
    assert_eq!(order(&nodes), ["A", "B", "C"]);
    let sorted = [node("B", &["x"], &["b"]), node("A", &["x"], &["a"]), node("C", &["a", "", "b"], &["", "y"])];
    assert_eq!(order(&sorted), ["B", "A", "C"], "what is in order stays");
}

#[test]
fn what_a_branch_takes_from_outside_orders_its_node() {
    let branch = graph(&[node("Late", &["i"], &["r"]), node("Inner", &["a"], &["i"])], &[], &["r"]);
    let nodes = [node("If", &["x"], &["y"]).message(5, &graph_attribute("then_branch", &branch)), node("A", &["x"], &["a"])];
    assert_eq!(order(&nodes), ["A", "If"]);
    let model = read(&model(&graph(&nodes, &["x"], &["y"]))).unwrap();
    let inner = &model.graph.nodes[1].attributes["then_branch"].graphs()[0];
    assert_eq!(inner.nodes[0].op_type, "Inner");
}

#[test]
fn an_inner_name_hides_an_outer_one() {
    let branch = graph(&[node("Inner", &["x"], &["y"])], &["x"], &["y"]);
    order(&[node("Loop", &["x"], &["y"]).message(5, &graph_attribute("body", &branch))]);
}

#[test]
fn cycles_are_refused_with_a_node_on_them() {
    let nodes = [node("After", &["b"], &["y"]), node("A", &["b"], &["a"]), node("B", &["a", "x"], &["b"])];
    let message = refusal(&model(&graph(&nodes, &["x"], &["y"])));
    assert_eq!(message, "malformed ONNX model: graph 'g': node of 'b' (B) needs its own result: a cycle");
    let own = [node("A", &["y"], &["y"])];
    assert!(refusal(&model(&graph(&own, &["x"], &["y"]))).contains("node of 'y' (A) needs its own result"));
    // Through a branch.
    let branch = graph(&[node("Inner", &["y"], &["r"])], &[], &["r"]);
    let nodes = [node("If", &["x"], &["y"]).message(5, &graph_attribute("then_branch", &branch))];
    assert!(refusal(&model(&graph(&nodes, &["x"], &["y"]))).contains("node of 'y' (If) needs its own result"));
}

#[test]
fn undefined_names_are_refused_with_their_user() {
    let message = refusal(&model(&graph(&[node("A", &["x", "z"], &["y"])], &["x"], &["y"])));
    assert_eq!(message, "malformed ONNX model: graph 'g': node of 'y' (A) uses 'z', which is not defined");
    let message = refusal(&model(&graph(&[node("A", &["x"], &["y"])], &["x"], &["z"])));
    assert_eq!(message, "malformed ONNX model: graph 'g': the list of outputs uses 'z', which is not defined");
    let branch = graph(&[node("Inner", &["nowhere"], &["r"])], &[], &["r"]);
    let nodes = [node("If", &["x"], &["y"]).message(5, &graph_attribute("then_branch", &branch))];
    assert!(refusal(&model(&graph(&nodes, &["x"], &["y"]))).contains("node of 'r' (Inner) uses 'nowhere'"));
    // What a branch defines ends with it.
    let nodes = [nodes[0].clone(), node("A", &["i"], &["z"])];
    let branch = graph(&[node("Inner", &["x"], &["i"])], &[], &["i"]);
    let nodes = [node("If", &["x"], &["y"]).message(5, &graph_attribute("then_branch", &branch)), nodes[1].clone()];
    assert!(refusal(&model(&graph(&nodes, &["x"], &["y"]))).contains("node of 'z' (A) uses 'i'"));
}

#[test]
fn nothing_is_defined_twice() {
    let y = || node("A", &["x"], &["y"]);
    let w = || tensor("w", 1, &[0]);
    let cases = [
        graph(&[y(), y()], &["x"], &["y"]),
        graph(&[node("A", &["x"], &["y", "y"])], &["x"], &["y"]),
        graph(&[node("A", &["x"], &["x"])], &["x"], &["x"]),
        graph(&[y()], &["x", "x"], &["y"]),
        graph(&[y()], &["x"], &["y"]).messages(5, &[w(), w()]),
        graph(&[y()], &["x"], &["y"]).messages(5, &[tensor("y", 1, &[0])]),
    ];
    for case in cases {
        assert!(refusal(&model(&case)).contains("is defined twice"));
    }
    let default = graph(&[y()], &["x"], &["y"]).messages(5, &[tensor("x", 1, &[0])]);
    assert!(read(&model(&default)).is_ok(), "an initializer may be an input's default");
}

#[test]
fn nameless_things_are_refused() {
    let y = || node("A", &["x"], &["y"]);
    for case in [
        graph(&[y()], &["x", ""], &["y"]),
        graph(&[y()], &["x"], &["y", ""]),
        graph(&[y()], &["x"], &["y"]).message(5, &tensor("", 1, &[0])),
    ] {
        assert!(refusal(&model(&case)).contains("has no name"));
    }
    assert!(refusal(&model(&graph(&[node("", &["x"], &["y"])], &["x"], &["y"]))).contains("has no operator"));
}

#[test]
fn operators_of_a_domain_without_a_version_are_refused() {
    let foreign = node("A", &["x"], &["y"]).text(7, "elsewhere");
    assert!(refusal(&model(&graph(&[foreign], &["x"], &["y"]))).contains("no operator set of 'elsewhere' is imported"));
}
