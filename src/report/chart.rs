//! The kinds of charts: bars, lines over sizes, parts of a whole, and the roofline.

use super::svg::{LETTER, Svg, WIDTH, fitting, series, stroke};

/// A group of bars: its name and a value of each series, with how far repeats lie apart.
pub struct Bars {
    /// What the bars are about.
    pub name: String,
    /// Of each series, in order.
    pub values: Vec<Option<(f64, f64)>>,
}

/// Horizontal bars in groups; `unit` stands beside the numbers.
pub fn bars(label: &str, names: &[String], groups: &[Bars], unit: &str) -> String {
    const LEFT: f64 = 330.0;
    const RIGHT: f64 = 110.0;
    let (bar, gap) = (14.0, 8.0);
    let many = names.len() > 1;
    let top = if many { 30.0 } else { 8.0 };
    let of_group = names.len() as f64 * bar + gap;
    let mut svg = Svg::new(top + groups.len() as f64 * of_group + 8.0, label);
    if many {
        svg.legend(LEFT, 18.0, names);
    }
    let values = groups.iter().flat_map(|g| g.values.iter().flatten());
    let most = values.map(|(value, spread)| value + spread).fold(f64::MIN_POSITIVE, f64::max);
    for (i, group) in groups.iter().enumerate() {
        let y = top + i as f64 * of_group;
        let middle = y + names.len() as f64 * bar / 2.0 + 4.0;
        svg.text(LEFT - 10.0, middle, "end", &fitting(&group.name, LEFT - 10.0));
        for (s, value) in group.values.iter().enumerate() {
            let Some((value, spread)) = value else { continue };
            let scale = (WIDTH - LEFT - RIGHT) / most;
            let (y, width) = (y + s as f64 * bar, value * scale);
            let class = series(if many { s } else { 0 });
            svg.rect((LEFT, y), (width, bar - 2.0), &class, format!("{}: {value:.2} ± {spread:.2} {unit}", group.name));
            if *spread > 0.0 {
                let (from, to) = ((value - spread).max(0.0) * scale, (value + spread) * scale);
                svg.line((LEFT + from, y + 6.0), (LEFT + to, y + 6.0), "l7");
            }
            svg.text(LEFT + (value + spread) * scale + 6.0, y + 10.0, "muted", &format!("{} {unit}", short(*value)));
        }
    }
    svg.finish()
}

/// Parts of a whole: a bar for each row, whose parts have names, in the unit's amounts.
pub fn stacks(label: &str, names: &[String], rows: &[(String, Vec<f64>)], unit: &str) -> String {
    const LEFT: f64 = 240.0;
    const RIGHT: f64 = 110.0;
    // Legends wrap.
    let mut lines: Vec<Vec<(usize, &String)>> = vec![Vec::new()];
    let mut at = 0.0;
    for (i, name) in names.iter().enumerate() {
        let width = 34.0 + LETTER * name.chars().count() as f64;
        if at + width > WIDTH - LEFT {
            lines.push(Vec::new());
            at = 0.0;
        }
        at += width;
        if let Some(line) = lines.last_mut() {
            line.push((i, name));
        }
    }
    let top = 14.0 + 20.0 * lines.len() as f64;
    let mut svg = Svg::new(top + rows.len() as f64 * 34.0, label);
    for (row, line) in lines.iter().enumerate() {
        let (mut at, y) = (LEFT, 18.0 + 20.0 * row as f64);
        for (i, name) in line {
            svg.rect((at, y - 9.0), (10.0, 10.0), &series(*i), name);
            svg.text(at + 15.0, y, "muted", name);
            at += 34.0 + LETTER * name.chars().count() as f64;
        }
    }
    let most = rows.iter().map(|(_, parts)| parts.iter().sum()).fold(f64::MIN_POSITIVE, f64::max);
    for (i, (name, parts)) in rows.iter().enumerate() {
        let y = top + i as f64 * 34.0;
        let all: f64 = parts.iter().sum();
        svg.text(LEFT - 10.0, y + 16.0, "end", &fitting(name, LEFT - 10.0));
        let mut x = LEFT;
        for (part, value) in parts.iter().enumerate() {
            let width = value / most * (WIDTH - LEFT - RIGHT);
            let tip =
                format!("{}: {} {unit}, {:.1} %", names.get(part).map_or("", String::as_str), short(*value), value / all * 100.0);
            svg.rect((x, y), (width - 0.5, 24.0), &series(part), tip);
            let inside = fitting(&format!("{:.0} %", value / all * 100.0), width - 6.0);
            svg.text(x + width / 2.0, y + 16.0, "on middle", &inside);
            x += width;
        }
        svg.text(x + 8.0, y + 16.0, "muted", &format!("{} {unit}", short(all)));
    }
    svg.finish()
}

/// A scale whose steps are factors.
struct Logarithmic {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Logarithmic {
    /// One that holds all of `values`, between two places of the drawing, but what no measurement can be.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) =
            values.filter(|v| (1e-30..1e30).contains(v)).fold((f64::MAX, f64::MIN_POSITIVE), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let (low, high) = (10f64.powf((low * 0.8).log10().floor()), 10f64.powf((high * 1.2).log10().ceil()));
        Logarithmic { low, high, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(self.low).min(self.high) / self.low).log10() / (self.high / self.low).log10();
        self.from + share * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
        (low..=high).map(|e| 10f64.powi(e))
    }
}

/// A curve: its name and points, x by factors.
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Curves over sizes in MiB, each doubled or quadrupled.
pub fn curves(label: &str, curves: &[Curve], unit: &str) -> String {
    const LEFT: f64 = 60.0;
    const BOTTOM: f64 = 270.0;
    let mut svg = Svg::new(310.0, label);
    let names: Vec<String> = curves.iter().map(|c| c.name.clone()).collect();
    svg.legend(LEFT, 18.0, &names);
    let points = || curves.iter().flat_map(|c| &c.points);
    let low = points().map(|p| p.0).fold(f64::MAX, f64::min).log2();
    let high = points().map(|p| p.0).fold(f64::MIN_POSITIVE, f64::max).log2();
    let most = nice(points().map(|p| p.1).fold(f64::MIN_POSITIVE, f64::max));
    let x = |v: f64| LEFT + (v.log2() - low) / (high - low).max(1.0) * (WIDTH - LEFT - 40.0);
    let y = |v: f64| BOTTOM - v / most * (BOTTOM - 40.0);
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        svg.line((LEFT, y(value)), (WIDTH - 20.0, y(value)), "grid");
        svg.text(LEFT - 8.0, y(value) + 4.0, "muted end", &short(value));
    }
    let mut sizes: Vec<f64> = points().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    for size in sizes {
        svg.text(x(size), BOTTOM + 18.0, "muted middle", &format!("{size:.0} MiB"));
    }
    svg.text(LEFT - 8.0, BOTTOM + 34.0, "muted end", unit);
    for (i, curve) in curves.iter().enumerate() {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|p| (x(p.0), y(p.1))).collect();
        svg.path(&points, &format!("line {}", stroke(i)));
        for (place, value) in points.iter().zip(&curve.points) {
            svg.dot(*place, &series(i), format!("{}, {:.0} MiB: {:.1} {unit}", curve.name, value.0, value.1));
        }
    }
    svg.finish()
}

/// A dot of the roofline: a kernel.
pub struct Kernel {
    /// The number by which the table names it.
    pub number: usize,
    /// What it does.
    pub name: String,
    /// Operations for each byte.
    pub intensity: f64,
    /// Operations per second.
    pub rate: f64,
    /// What it reaches of its roof.
    pub share: f64,
}

/// What one device can do and what kernels reach there.
pub struct Roofline {
    /// The device.
    pub name: String,
    /// Bytes per second.
    pub bandwidth: f64,
    /// Operations per second, by what; the first bounds kernels.
    pub ceilings: Vec<(&'static str, f64)>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
}

/// Operations per second over operations for each byte: the nearer a dot is to the line above it, the better the kernel.
pub fn roofline(lines: &[Roofline]) -> String {
    const LEFT: f64 = 64.0;
    const BOTTOM: f64 = 430.0;
    let mut svg = Svg::new(474.0, "Roofline");
    let kernels = || lines.iter().flat_map(|l| &l.kernels);
    let xs = kernels().map(|k| k.intensity);
    let x = Logarithmic::over(xs.chain(lines.iter().filter_map(ridge)), LEFT, WIDTH - 30.0);
    let ceilings = lines.iter().flat_map(|l| &l.ceilings).map(|c| c.1);
    let y = Logarithmic::over(kernels().map(|k| k.rate).chain(ceilings), BOTTOM, 36.0);
    for value in x.decades() {
        svg.line((x.at(value), BOTTOM), (x.at(value), 36.0), "grid");
        svg.text(x.at(value), BOTTOM + 18.0, "muted middle", &short(value));
    }
    for value in y.decades() {
        svg.line((LEFT, y.at(value)), (WIDTH - 30.0, y.at(value)), "grid");
        svg.text(LEFT - 8.0, y.at(value) + 4.0, "muted end", &short(value / 1e9));
    }
    svg.text(WIDTH - 30.0, BOTTOM + 36.0, "muted end", "operations for each byte");
    svg.text(LEFT - 44.0, 22.0, "muted", "GFLOP/s");
    let many = lines.len() > 1;
    if many {
        let names: Vec<String> = lines.iter().map(|l| l.name.clone()).collect();
        svg.legend(LEFT + 40.0, 22.0, &names);
    }
    for (i, line) in lines.iter().enumerate() {
        let (Some(ridge), Some((_, peak))) = (ridge(line), line.ceilings.first()) else { continue };
        // Where the slope comes into the drawing, from the left or from below.
        let from = x.low.max(y.low / line.bandwidth);
        let points = [(from, from * line.bandwidth), (ridge, *peak), (x.high, *peak)];
        let points: Vec<(f64, f64)> = points.iter().map(|(a, b)| (x.at(*a), y.at(*b))).collect();
        svg.path(&points, &format!("line {}", stroke(i)));
        // A name stands above its line, or below where another line is close above.
        let mut above = f64::MIN;
        let mut ceilings: Vec<&(&str, f64)> = line.ceilings.iter().filter(|_| !many).collect();
        ceilings.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (name, value) in ceilings {
            let at = y.at(*value);
            let baseline = if at - above < 18.0 { at + 13.0 } else { at - 5.0 };
            above = at;
            svg.line((x.at(value / line.bandwidth).max(LEFT), at), (WIDTH - 30.0, at), "thin axis");
            svg.text(WIDTH - 34.0, baseline, "muted end halo", &format!("{name} {}", short(value / 1e9)));
        }
        if !many {
            let middle = (from * ridge).sqrt();
            let text = format!("read {} GB/s", short(line.bandwidth / 1e9));
            svg.text(x.at(middle) - 10.0, y.at(middle * line.bandwidth) - 8.0, "muted end halo", &text);
        }
        let mut named: Vec<(f64, f64)> = Vec::new();
        for kernel in &line.kernels {
            let place = (x.at(kernel.intensity), y.at(kernel.rate));
            let tip = format!(
                "{}. {}: {} GFLOP/s, {:.0} % of its roof",
                kernel.number,
                kernel.name,
                short(kernel.rate / 1e9),
                kernel.share * 100.0
            );
            svg.dot(place, &series(if many { i } else { 1 }), tip);
            let free = |x: f64| !named.iter().any(|(a, b)| (a - x).abs() < 15.0 && (b - place.1).abs() < 10.0);
            // Where both sides are taken, the tip must do.
            if let Some(x) = [place.0 + 6.0, place.0 - 20.0].into_iter().find(|x| !many && free(*x)) {
                named.push((x, place.1));
                svg.text(x, place.1 + 4.0, "muted halo", &kernel.number.to_string());
            }
        }
    }
    svg.finish()
}

/// Operations for each byte from which on arithmetic is the bound.
fn ridge(line: &Roofline) -> Option<f64> {
    line.ceilings.first().map(|(_, peak)| peak / line.bandwidth)
}

/// The next round number from `value` on.
fn nice(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().map(|f| f * decade).find(|n| *n >= value).unwrap_or(value)
}

/// A number in few characters.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v >= 1e6 => format!("{:.3e}", value),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        v if v >= 0.01 => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_measurement_can_be_leaves_a_drawing_small() {
        for strange in [f64::INFINITY, f64::NAN, 0.0, f64::MAX, f64::MIN_POSITIVE, -1.0] {
            let kernel = Kernel { number: 1, name: "k".into(), intensity: strange, rate: strange, share: strange };
            let line = Roofline {
                name: "a".into(),
                bandwidth: 1e10,
                ceilings: vec![("f32", 1e11), ("f16", strange)],
                kernels: vec![kernel],
            };
            let svg = roofline(&[line]);
            assert!(
                svg.len() < 20_000 && svg.contains("f32") && !svg.contains("NaN,") && !svg.contains("='NaN"),
                "{strange}: {svg}"
            );
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 0.004, 0.5, 1.0, 9.876, 12.0, 12.34, 1234.5].map(short).into();
        assert_eq!(shown, ["0", "4.0e-3", "0.5", "1", "9.88", "12", "12.3", "1234"]);
    }

    #[test]
    fn scales_hold_their_values() {
        let scale = Logarithmic::over([0.3, 700.0].into_iter(), 0.0, 100.0);
        assert!(scale.at(0.3) > 0.0 && scale.at(700.0) < 100.0);
        assert_eq!(scale.decades().count(), 5);
    }
}
