//! Outlines in a mask: the pixels that bound each connected part, and each hole in one.

/// A pixel, `[column, row]`.
pub type Pixel = [i32; 2];

/// A mask, `[height, width]`.
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether each pixel is set.
    pub set: Vec<bool>,
}

impl Mask {
    /// The pixels of `probabilities`, `[height, width]`, that are above `threshold`.
    pub fn above(threshold: f32, probabilities: &[f32], [width, height]: [usize; 2]) -> Self {
        Mask { width, height, set: probabilities.iter().take(width * height).map(|p| *p > threshold).collect() }
    }

    /// Sets every pixel whose left, upper or upper left neighbour is set: a dilation by 2 x 2 ones anchored at the lower right.
    pub fn dilated(&self) -> Self {
        let reached = |i: usize| {
            let (x, y) = (i % self.width, i / self.width);
            self.set[i]
                || (x > 0 && self.set[i - 1])
                || (y > 0 && self.set[i - self.width])
                || (x > 0 && y > 0 && self.set[i - self.width - 1])
        };
        Mask { width: self.width, height: self.height, set: (0..self.set.len()).map(reached).collect() }
    }

    /// The outer outline of every part whose set pixels touch, also at corners; and the outline of every hole: the set pixels
    /// beside it. In the order of their first pixels, `most` at most.
    pub fn outlines(&self, most: usize) -> Vec<Vec<Pixel>> {
        let mut seen = vec![false; self.set.len()];
        let mut found = Vec::new();
        for start in 0..self.set.len() {
            if found.len() == most {
                break;
            }
            if seen[start] {
                continue;
            }
            let part = self.flood(start, &mut seen);
            if self.set[start] {
                found.push(part.into_iter().filter(|p| self.is_border(*p)).collect());
            } else if !part.iter().any(|p| self.is_at_frame(*p)) {
                found.push(part.iter().flat_map(|p| self.neighbours(*p, false)).filter(|p| self.at(*p) == Some(true)).collect());
            }
        }
        found
    }

    /// The pixels connected with `start` that are set as it is; what is not set connects along edges only.
    fn flood(&self, start: usize, seen: &mut [bool]) -> Vec<Pixel> {
        let set = self.set[start];
        seen[start] = true;
        let mut part = vec![[(start % self.width) as i32, (start / self.width) as i32]];
        let mut done = 0;
        while let Some(pixel) = part.get(done).copied() {
            done += 1;
            for next in self.neighbours(pixel, set) {
                if let Some(i) = self.index(next).filter(|i| self.set[*i] == set && !seen[*i]) {
                    seen[i] = true;
                    part.push(next);
                }
            }
        }
        part
    }

    /// Neighbours along edges, and at corners where `diagonal`; some may lie outside.
    fn neighbours(&self, [x, y]: Pixel, diagonal: bool) -> impl Iterator<Item = Pixel> + use<> {
        let around = [[0, -1], [-1, 0], [1, 0], [0, 1], [-1, -1], [1, -1], [-1, 1], [1, 1]];
        around.into_iter().take(if diagonal { 8 } else { 4 }).map(move |[dx, dy]| [x + dx, y + dy])
    }

    fn is_border(&self, pixel: Pixel) -> bool {
        self.neighbours(pixel, false).any(|p| self.at(p) != Some(true))
    }

    fn is_at_frame(&self, pixel: Pixel) -> bool {
        self.neighbours(pixel, false).any(|p| self.index(p).is_none())
    }

    fn at(&self, pixel: Pixel) -> Option<bool> {
        self.index(pixel).map(|i| self.set[i])
    }

    fn index(&self, [x, y]: Pixel) -> Option<usize> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width && y < self.height).then(|| y * self.width + x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let set = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        Mask { width: rows[0].len(), height: rows.len(), set }
    }

    fn rows(mask: &Mask) -> Vec<String> {
        mask.set.chunks(mask.width).map(|row| row.iter().map(|s| if *s { '#' } else { '.' }).collect()).collect()
    }

    #[test]
    fn a_dilation_goes_right_and_down() {
        assert_eq!(rows(&mask(&["#...", "....", "..#."]).dilated()), ["##..", "##..", "..##"]);
    }

    #[test]
    fn parts_touch_at_corners_and_holes_do_not() {
        // A ring whose hole is cut in two by a diagonal, and a pixel apart.
        let found = mask(&["####.#", "#.##..", "##.#..", "####.."]).outlines(10);
        assert_eq!(found.len(), 4);
        assert!(found[0].contains(&[0, 0]) && found[0].contains(&[3, 3]));
        assert_eq!(found[1], [[5, 0]]);
        let sorted = |mut v: Vec<Pixel>| {
            v.sort();
            v
        };
        assert_eq!(sorted(found[2].clone()), [[0, 1], [1, 0], [1, 2], [2, 1]]);
        assert_eq!(sorted(found[3].clone()), [[1, 2], [2, 1], [2, 3], [3, 2]]);
        assert_eq!(mask(&["#.#.#"]).outlines(2).len(), 2);
        assert_eq!(mask(&["...", "..."]).outlines(10).len(), 0);
    }
}
