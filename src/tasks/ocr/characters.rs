//! From probabilities of characters to text: connectionist temporal classification, decoded greedily.

use crate::error::Result;
use crate::tasks::unfit;

/// The characters of a recogniser, by class: class 0 is the blank between characters.
pub struct Characters(Vec<String>);

/// A text and how certain it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The text.
    pub text: String,
    /// The mean probability of its characters; 0 without any.
    pub score: f32,
}

impl Characters {
    /// Characters as PaddleOCR's models list them: one a line from class 1 on. The last class is a space.
    pub fn new(list: &str) -> Self {
        let blank = std::iter::once(String::new());
        let listed = list.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).map(str::to_owned);
        Characters(blank.chain(listed).chain([" ".to_owned()]).collect())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.0.len()
    }

    /// The text of `[steps, classes]` probabilities: at each step the likeliest class; repetitions and blanks are dropped.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for rows of another number of classes.
    pub fn read(&self, probabilities: &[f32], classes: usize) -> Result<Reading> {
        if classes != self.classes() || !probabilities.len().is_multiple_of(classes) {
            return Err(unfit("text", format_args!("has {classes} classes and lists {}", self.classes())));
        }
        let (mut text, mut sum, mut kept, mut before) = (String::new(), 0.0, 0u32, 0);
        for step in probabilities.chunks_exact(classes) {
            // The first of equals.
            let likelier = |best: (usize, f32), (class, p): (usize, &f32)| if *p > best.1 { (class, *p) } else { best };
            let (class, p) = step.iter().enumerate().fold((0, f32::NEG_INFINITY), likelier);
            if class != 0 && class != before {
                text += &self.0[class];
                sum += f64::from(p);
                kept += 1;
            }
            before = class;
        }
        Ok(Reading { text, score: if kept == 0 { 0.0 } else { (sum / f64::from(kept)) as f32 } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_blanks_are_dropped() {
        let characters = Characters::new("a\nb");
        assert_eq!(characters.classes(), 4);
        // a a blank a b space space
        let steps = [
            [0.1, 0.9, 0.0, 0.0],
            [0.1, 0.8, 0.1, 0.0],
            [0.9, 0.1, 0.0, 0.0],
            [0.2, 0.7, 0.0, 0.1],
            [0.0, 0.0, 0.6, 0.4],
            [0.0, 0.1, 0.4, 0.5],
            [0.0, 0.1, 0.4, 0.5],
        ];
        let reading = characters.read(steps.as_flattened(), 4).unwrap();
        assert_eq!(reading.text, "aab ");
        assert!((reading.score - (0.9 + 0.7 + 0.6 + 0.5) / 4.0).abs() < 1e-6);
        assert_eq!(characters.read(&[1.0, 0.0, 0.0, 0.0], 4).unwrap(), Reading { text: String::new(), score: 0.0 });
        assert_eq!(characters.read(&[f32::NAN; 4], 4).unwrap().text, "");
        assert!(characters.read(&[0.0; 5], 5).is_err() && characters.read(&[0.0; 5], 4).is_err());
    }
}
