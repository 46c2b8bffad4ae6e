//! `wavelane score`: how likely a model finds a text.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wavelane::models::Outputs;
use wavelane::tokenizer::Special;
use wavelane::{Error, Result};

use super::End;
use super::debug::DebugFlags;
use super::flags::ModelFlags;
use super::output::{Bar, print, read_text};

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
    #[arg(long, value_name = "FILE", required_unless_present_any = ["ids", "dump_graph", "dump_plan"])]
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
        let mut sequence = self.model.open()?;
        let ids = match &self.source {
            Source { ids: Some(path), .. } => read_ids(path)?,
            Source { text: Some(path), .. } => sequence.engine().tokenizer().encode(&read_text(path)?, Special::TEXT)?,
            _ => return Err(Error::Request("there is nothing to score".into())),
        };
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
            let tokenizer = sequence.engine().tokenizer();
            let text = |id: u32| format!("{:?}", tokenizer.decode(&[id]));
            for (position, id) in score.ids.iter().enumerate() {
                let nll =
                    position.checked_sub(1).and_then(|i| score.nll.get(i)).map_or("       -".into(), |v| format!("{v:8.4}"));
                print(format_args!("{position:5} {id:7} {nll}  {}\n", text(*id)))?;
                for (id, logit) in score.top.get(position).into_iter().flatten() {
                    print(format_args!("              {logit:9.4} {id:7} {}\n", text(*id)))?;
                }
            }
            print(format_args!(
                "mean NLL {:.5} over {} tokens, perplexity {:.4}\n",
                score.mean_nll(),
                score.nll.len(),
                score.perplexity()
            ))?;
        }
        report.finish();
        Ok(End::Done)
    }
}

fn read_ids(path: &std::path::Path) -> Result<Vec<u32>> {
    let place = path.display().to_string();
    let value: Value = serde_json::from_str(&read_text(path)?).map_err(|e| Error::format(&place, e.to_string()))?;
    let list = if value.is_object() { value["ids"].clone() } else { value };
    serde_json::from_value(list).map_err(|e| Error::format(place, format!("not a list of token ids: {e}")))
}
