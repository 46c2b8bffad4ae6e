//! `wavelane score`: how likely a model finds a text.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wavelane::generate;
use wavelane::models::Outputs;
use wavelane::tokenizer::{Special, Tokenizer};
use wavelane::{Error, Result};

use super::End;
use super::debug::DebugFlags;
use super::flags::ModelFlags;
use super::output::{Bar, print, read_text};
use super::start::Start;

/// Arguments of `score`.
#[derive(Args)]
pub struct Score {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    source: Source,
    /// Also give the K best logits at each position.
    #[arg(long, value_name = "K", default_value_t = 0)]
    top: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    debug: DebugFlags,
}

#[derive(Args)]
#[group(multiple = false)]
struct Source {
    /// A text file; '-' is standard input.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// A JSON file: a list of token ids, or an object with 'ids'.
    #[arg(long, value_name = "FILE.json")]
    ids: Option<PathBuf>,
}

impl Score {
    /// Runs the command.
    pub fn execute(self) -> Result<End> {
        if self.debug.dump(&self.model, Outputs::NLL, true)? {
            return Ok(End::Done);
        }
        let (path, is_text) = match &self.source {
            Source { text: Some(path), .. } => (path, true),
            Source { ids: Some(path), .. } => (path, false),
            _ => return Err(Error::Request("there is nothing to score: give --text FILE or --ids FILE.json".into())),
        };
        let mut sequence = self.model.open(&mut Start::begin())?;
        let text = read_text(path)?;
        let ids = if is_text { sequence.engine().tokenizer().encode(&text, Special::TEXT)? } else { parse_ids(path, &text)? };
        let report = self.debug.watch(&mut sequence);
        let score = {
            let bar = Bar::new("scoring", false);
            sequence.score(&ids, self.top, &mut |done| bar.set(done as u64, ids.len() as u64))?
        };
        if self.json {
            let object = json!({
                "ids": score.ids, "nll": score.nll, "mean_nll": score.mean_nll(), "perplexity": score.perplexity(), "top": score.top,
            });
            print(format_args!("{object}\n"))?;
        } else {
            print_table(&score, sequence.engine().tokenizer())?;
        }
        report.finish();
        Ok(End::Done)
    }
}

/// A line for each token with its likelihood, the best candidates for the token after it, and the sums.
fn print_table(score: &generate::Score, tokenizer: &Tokenizer) -> Result<()> {
    let text = |id: u32| format!("{:?}", tokenizer.decode(&[id]));
    // Nothing predicts the first token.
    let nll = std::iter::once("-".into()).chain(score.nll.iter().map(|v| format!("{v:.4}")));
    for (position, (id, nll)) in score.ids.iter().zip(nll).enumerate() {
        print(format_args!("{position:5} {id:7} {nll:>8}  {}\n", text(*id)))?;
        for (id, logit) in score.top.get(position).into_iter().flatten() {
            print(format_args!("              {logit:9.4} {id:7} {}\n", text(*id)))?;
        }
    }
    let (mean, perplexity) = (score.mean_nll(), score.perplexity());
    print(format_args!("mean NLL {mean:.5} over {} tokens, perplexity {perplexity:.4}\n", score.nll.len()))
}

/// The token ids that the JSON text of the file at `path` lists.
fn parse_ids(path: &Path, text: &str) -> Result<Vec<u32>> {
    let place = path.display().to_string();
    let mut value: Value = serde_json::from_str(text).map_err(|e| Error::format(&place, e.to_string()))?;
    let list = value.get_mut("ids").map(Value::take).unwrap_or(value);
    serde_json::from_value(list).map_err(|e| Error::format(place, format!("not a list of token ids: {e}")))
}
