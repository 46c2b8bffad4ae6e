//! A flame view: each level of names is a row, and a box is as wide as what is in it takes.

use super::fold::Branch;
use super::svg::{Svg, WIDTH, fitting, series};

/// Height of a row.
const ROW: f64 = 22.0;
/// Boxes narrower than this are left out.
const LEAST: f64 = 0.6;

/// The flame view of a tree.
pub fn flame(root: &Branch) -> String {
    let mut svg = Svg::new(depth(root, WIDTH) as f64 * ROW + 4.0, &format!("Flame view of {}", root.name));
    draw(&mut svg, root, root.seconds, (0.0, WIDTH), 0);
    svg.finish()
}

/// Levels of which some box is wide enough.
fn depth(branch: &Branch, width: f64) -> usize {
    let share = |b: &Branch| if branch.seconds > 0.0 { b.seconds / branch.seconds * width } else { 0.0 };
    let below = branch.branches.iter().filter(|b| share(b) >= LEAST).map(|b| depth(b, share(b)));
    1 + below.max().unwrap_or(0)
}

fn draw(svg: &mut Svg, branch: &Branch, all: f64, (x, width): (f64, f64), level: usize) {
    let y = level as f64 * ROW + 2.0;
    let share = if all > 0.0 { branch.seconds / all * 100.0 } else { 0.0 };
    let tip = format!("{}: {:.3} ms, {share:.1} %", branch.name, branch.seconds * 1e3);
    let class = if level == 0 { series(7) } else { series(hash(&branch.name)) };
    svg.rect((x, y), (width - 1.0, ROW - 2.0), &class, tip);
    svg.text(x + 5.0, y + 14.0, "on", &fitting(&branch.name, width - 12.0));
    let mut at = x;
    for below in &branch.branches {
        let part = if branch.seconds > 0.0 { below.seconds / branch.seconds * width } else { 0.0 };
        if part >= LEAST {
            draw(svg, below, all, (at, part), level + 1);
        }
        at += part;
    }
}

/// A number that names of one kind share: digits do not count, so that all layers look alike.
fn hash(name: &str) -> usize {
    let letters = name.bytes().filter(|b| !b.is_ascii_digit());
    letters.fold(7usize, |hash, b| hash.wrapping_mul(31).wrapping_add(usize::from(b))) % 7
}
