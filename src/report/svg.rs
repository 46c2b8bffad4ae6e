//! A drawing, as the text of an SVG element that takes its colours from the page.

use std::fmt::{Display, Write};

/// Units across every drawing; the page scales them.
pub const WIDTH: f64 = 960.0;
/// Units that a letter takes on average.
pub const LETTER: f64 = 6.4;

/// A drawing under way.
pub struct Svg {
    height: f64,
    label: String,
    body: String,
}

/// A text as it stands in HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The beginning of a text that fits so many units, with dots where something is left out; empty where nothing fits.
pub fn fitting(text: &str, units: f64) -> String {
    let most = (units / LETTER).max(0.0) as usize;
    match text.chars().count() {
        n if n <= most => text.to_owned(),
        _ if most < 4 => String::new(),
        _ => text.chars().take(most - 2).chain("..".chars()).collect(),
    }
}

impl Svg {
    /// An empty drawing; `label` says what it shows to those who do not see it.
    pub fn new(height: f64, label: &str) -> Self {
        Svg { height, label: label.to_owned(), body: String::new() }
    }

    /// A text whose baseline begins at `(x, y)`; `class` says where else it hangs and how it looks.
    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ = write!(self.body, "<text x='{x:.1}' y='{y:.1}' class='{class}'>{}</text>", escape(text));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((a, b), (c, d)) = (from, to);
        let _ = write!(self.body, "<line x1='{a:.1}' y1='{b:.1}' x2='{c:.1}' y2='{d:.1}' class='{class}'/>");
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, "<polyline points='{}' class='{class}'/>", points.join(" "));
    }

    /// A box with a tip that appears over it.
    pub fn rect(&mut self, place: (f64, f64), size: (f64, f64), class: &str, tip: impl Display) {
        let ((x, y), (w, h)) = (place, (size.0.max(0.0), size.1));
        let tip = escape(&tip.to_string());
        let _ = write!(
            self.body,
            "<rect x='{x:.2}' y='{y:.1}' width='{w:.2}' height='{h:.1}' class='{class}'><title>{tip}</title></rect>"
        );
    }

    /// A dot with a tip that appears over it.
    pub fn dot(&mut self, (x, y): (f64, f64), class: &str, tip: impl Display) {
        let tip = escape(&tip.to_string());
        let _ = write!(self.body, "<circle cx='{x:.1}' cy='{y:.1}' r='4.5' class='{class}'><title>{tip}</title></circle>");
    }

    /// Names beside the colours that stand for them, in a row.
    pub fn legend(&mut self, x: f64, y: f64, names: &[String]) {
        let mut at = x;
        for (i, name) in names.iter().enumerate() {
            self.rect((at, y - 9.0), (10.0, 10.0), &series(i), name);
            self.text(at + 15.0, y, "muted", name);
            at += 34.0 + LETTER * name.chars().count() as f64;
        }
    }

    /// The element's text.
    pub fn finish(self) -> String {
        let Svg { height, label, body } = self;
        let label = escape(&label);
        format!("<svg viewBox='0 0 {WIDTH} {height:.0}' role='img' aria-label='{label}'>{body}</svg>")
    }
}

/// The class that fills with the colour of a series.
pub fn series(i: usize) -> String {
    format!("s{}", i % 8)
}

/// The class that draws lines in the colour of a series.
pub fn stroke(i: usize) -> String {
    format!("l{}", i % 8)
}
