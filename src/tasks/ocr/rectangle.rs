//! Rectangles that stand at any angle: the smallest around some points, growth, and the pixels inside.

use super::outline::Pixel;
use crate::media::geometry::Quad;

/// A rectangle at any angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// Its middle.
    pub center: [f64; 2],
    /// The direction of its first side, of length 1; the second stands at a right angle to it.
    pub along: [f64; 2],
    /// Half of both sides.
    pub half: [f64; 2],
}

impl Rectangle {
    /// The rectangle of least area around points; none without points.
    ///
    /// One of its sides lies along a side of the points' convex hull (Freeman and Shapira 1975), so each of these is tried.
    pub fn smallest(points: &[Pixel]) -> Option<Self> {
        let hull = convex_hull(points);
        let next = hull.iter().cycle().skip(1);
        let direction = |(a, b): (&Pixel, &Pixel)| {
            let d = [f64::from(b[0] - a[0]), f64::from(b[1] - a[1])];
            let length = d[0].hypot(d[1]);
            // A single point has no direction.
            if length > 0.0 { [d[0] / length, d[1] / length] } else { [1.0, 0.0] }
        };
        let boxes = hull.iter().zip(next).map(|edge| Self::around(&hull, direction(edge)));
        boxes.min_by(|a, b| (a.half[0] * a.half[1]).total_cmp(&(b.half[0] * b.half[1])))
    }

    /// The rectangle around points with a side in a direction.
    fn around(points: &[Pixel], along: [f64; 2]) -> Self {
        let across = [-along[1], along[0]];
        let span = |axis: [f64; 2]| {
            let places = points.iter().map(|p| f64::from(p[0]) * axis[0] + f64::from(p[1]) * axis[1]);
            places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((u0, u1), (v0, v1)) = (span(along), span(across));
        let (u, v) = ((u0 + u1) / 2.0, (v0 + v1) / 2.0);
        let center = [u * along[0] + v * across[0], u * along[1] + v * across[1]];
        Rectangle { center, along, half: [(u1 - u0) / 2.0, (v1 - v0) / 2.0] }
    }

    /// The shorter side.
    pub fn short_side(&self) -> f64 {
        2.0 * self.half[0].min(self.half[1])
    }

    /// The rectangle with all sides moved outwards by area * `ratio` / perimeter: the smallest rectangle around what an offset
    /// with round corners makes of it.
    pub fn unclipped(&self, ratio: f64) -> Self {
        let [a, b] = self.half;
        let distance = if a + b > 0.0 { a * b / (a + b) * ratio } else { 0.0 };
        Rectangle { half: [a + distance, b + distance], ..*self }
    }

    /// The corners, in order around it.
    pub fn corners(&self) -> [[f64; 2]; 4] {
        let ([a, b], [dx, dy]) = (self.half, self.along);
        [[-a, -b], [a, -b], [a, b], [-a, b]].map(|[u, v]| [self.center[0] + u * dx - v * dy, self.center[1] + u * dy + v * dx])
    }
}

/// Corners in the order upper left, upper right, lower right, lower left: the two leftmost are the left ones.
pub fn in_order(mut corners: Quad) -> Quad {
    corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [a, b, c, d] = corners;
    let by_height = |p: [f32; 2], q: [f32; 2]| if p[1] <= q[1] { (p, q) } else { (q, p) };
    let ((upper_left, lower_left), (upper_right, lower_right)) = (by_height(a, b), by_height(c, d));
    [upper_left, upper_right, lower_right, lower_left]
}

/// The convex hull in order around it, without points on its sides (Andrew's monotone chain).
fn convex_hull(points: &[Pixel]) -> Vec<Pixel> {
    let mut sorted = points.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
    let chain = |points: &mut dyn Iterator<Item = Pixel>| {
        let mut chain: Vec<Pixel> = Vec::new();
        for p in points {
            while let [.., a, b] = chain[..] {
                if turn(a, b, p) > 0 {
                    break;
                }
                chain.pop();
            }
            chain.push(p);
        }
        // The last point begins the other chain.
        chain.pop();
        chain
    };
    let mut hull = chain(&mut sorted.iter().copied());
    hull.extend(chain(&mut sorted.iter().rev().copied()));
    hull
}

fn turn(a: Pixel, b: Pixel, c: Pixel) -> i64 {
    let [[ax, ay], [bx, by], [cx, cy]] = [a, b, c].map(|p| p.map(i64::from));
    (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
}

/// The mean of a map `[height, width]` over the pixels of a convex polygon with whole corners, its border included; 0 where it
/// has none.
pub fn mean_inside(map: &[f32], [width, height]: [usize; 2], corners: &[Pixel; 4]) -> f32 {
    let (mut sum, mut count) = (0.0f64, 0u32);
    let low = corners.iter().map(|p| p[1]).min().unwrap_or(0).max(0);
    let high = corners.iter().map(|p| p[1]).max().unwrap_or(0).min(height as i32 - 1);
    for y in low..=high {
        let (left, right) = columns_at(corners, y);
        for x in left.max(0)..=right.min(width as i32 - 1) {
            sum += f64::from(map.get(y as usize * width + x as usize).copied().unwrap_or(0.0));
            count += 1;
        }
    }
    if count == 0 { 0.0 } else { (sum / f64::from(count)) as f32 }
}

/// The first and last column of a convex polygon in the row `y`. A pixel counts as far as the polygon comes within half of it.
fn columns_at(corners: &[Pixel; 4], y: i32) -> (i32, i32) {
    let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
    for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let ([ax, ay], [bx, by]) = (a.map(f64::from), b.map(f64::from));
        // The part of the edge that passes through the row.
        let (top, bottom) = (f64::from(y) - 0.5, f64::from(y) + 0.5);
        let (low, high) = (ay.min(by).max(top), ay.max(by).min(bottom));
        if low > high {
            continue;
        }
        let at = |y: f64| if ay == by { [ax, bx] } else { [ax + (y - ay) / (by - ay) * (bx - ax); 2] };
        // A steep edge is held at the row's middle, where a line drawn pixel by pixel has its one pixel.
        let steep = (by - ay).abs() >= (bx - ax).abs();
        let ends = if steep { [f64::from(y).clamp(ay.min(by), ay.max(by)); 2] } else { [low, high] };
        for x in ends.into_iter().flat_map(at) {
            (left, right) = (left.min(x), right.max(x));
        }
    }
    (left.round() as i32, right.round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_rectangle_stands_as_its_points_do() {
        // A rectangle of sides 5 and 10 along (3, 4) / 5, with points inside.
        let points = [[0, 0], [3, 4], [-8, 6], [-5, 10], [-2, 4], [-3, 6]];
        let found = Rectangle::smallest(&points).unwrap();
        let mut sides = found.half.map(|h| 2.0 * h);
        sides.sort_by(f64::total_cmp);
        assert!((sides[0] - 5.0).abs() < 1e-9 && (sides[1] - 10.0).abs() < 1e-9, "{found:?}");
        assert!((found.center[0] + 2.5).abs() < 1e-9 && (found.center[1] - 5.0).abs() < 1e-9, "{found:?}");
        for corner in [[0.0, 0.0], [3.0, 4.0], [-5.0, 10.0], [-8.0, 6.0]] {
            assert!(found.corners().iter().any(|c| (c[0] - corner[0]).hypot(c[1] - corner[1]) < 1e-9), "{corner:?}");
        }
        let grown = found.unclipped(1.5);
        assert!((grown.short_side() - (5.0 + 2.0 * 50.0 * 1.5 / 30.0)).abs() < 1e-9);
    }

    #[test]
    fn few_points_have_flat_rectangles() {
        assert_eq!(Rectangle::smallest(&[]), None);
        let point = Rectangle::smallest(&[[3, 4], [3, 4]]).unwrap();
        assert_eq!((point.center, point.short_side()), ([3.0, 4.0], 0.0));
        assert_eq!(point.unclipped(1.6).short_side(), 0.0);
        let line = Rectangle::smallest(&[[0, 0], [1, 1], [2, 2]]).unwrap();
        assert!(line.short_side() < 1e-9 && (line.half[0].max(line.half[1]) - 2f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn corners_come_in_reading_order() {
        let quad = [[9.0, 9.0], [1.0, 8.0], [0.0, 1.0], [10.0, 2.0]];
        assert_eq!(in_order(quad), [[0.0, 1.0], [10.0, 2.0], [9.0, 9.0], [1.0, 8.0]]);
    }

    #[test]
    fn means_count_the_border() {
        let map: Vec<f32> = (0..25).map(|i| i as f32).collect();
        assert_eq!(mean_inside(&map, [5, 5], &[[1, 1], [3, 1], [3, 2], [1, 2]]), (6 + 7 + 8 + 11 + 12 + 13) as f32 / 6.0);
        // A diamond of radius 1, partly outside.
        assert_eq!(mean_inside(&map, [5, 5], &[[0, -1], [1, 0], [0, 1], [-1, 0]]), 2.0);
        assert_eq!(mean_inside(&map, [5, 5], &[[9, 9]; 4]), 0.0);
    }
}
