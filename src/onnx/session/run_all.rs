//! Many runs, one after another, with the host at work while the device computes.

use std::collections::{BTreeMap, VecDeque};

use super::{Array, End, Session, Watch, arrived, feeds};
use crate::error::Result;
use crate::gpu::Located;
use crate::onnx::value::Arrival;
use crate::plan::Request;
use crate::shape::Symbols;
use crate::tensor::Tensor;

impl Session {
    /// Runs the model once for each of `inputs`; the results go to `each` in order.
    ///
    /// Where neighbouring inputs have the same shapes and the model is one stage, the host reads and brings the next inputs and takes
    /// the results before while the device computes; else runs follow one another as those of [`Session::run`] do. No more than
    /// three sets of inputs are held at a time.
    ///
    /// # Errors
    /// As [`Session::run`]; the first error of `inputs` or `each` ends it.
    pub fn run_all(
        &mut self,
        inputs: impl IntoIterator<Item = Result<BTreeMap<String, Array>>>,
        mut each: impl FnMut(Vec<(String, Array)>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = inputs.into_iter();
        let mut next = rest.next();
        while let Some(first) = next.take() {
            let first = first?;
            let mut frames = self.begin(&first)?;
            frames.prune();
            let (mut stage, live) = self.stage(&frames)?;
            let alone = stage.end == End::Done && matches!(self.watch, Watch::Nothing);
            // Apart from its stage, which is read while the session runs.
            let Some(mut graph) = alone.then(|| stage.session.take()).flatten() else {
                self.keep(stage);
                each(self.run(&first)?)?;
                next = rest.next();
                continue;
            };
            let request = Request { symbols: Symbols::new(), outputs: (0..stage.outputs).collect() };
            // What results are made of, beside what the device computes; shared between what feeds the device and what takes
            // its results, which take turns.
            let under_way = std::cell::RefCell::new(VecDeque::new());
            let mut pending = Some((frames, live));
            let this: &Session = self;
            let mut feed = || -> Option<Result<Vec<Located>>> {
                if pending.is_none() {
                    let inputs = match rest.next()? {
                        Ok(inputs) => inputs,
                        Err(e) => return Some(Err(e)),
                    };
                    let mut frames = match this.begin(&inputs) {
                        Ok(frames) => frames,
                        Err(e) => return Some(Err(e)),
                    };
                    frames.prune();
                    let live = frames.arrivals();
                    if frames.key() != stage.key || !stage.is_for(&live) {
                        next = Some(Ok(inputs));
                        return None;
                    }
                    pending = Some((frames, live));
                }
                let (frames, live) = pending.take()?;
                let fed = feeds(&stage.inputs, &live);
                under_way.borrow_mut().push_back(frames);
                Some(fed)
            };
            let mut take = |results: Vec<Tensor>| {
                let results: Vec<_> = results.into_iter().map(|t| Arrival::new(t.into())).collect();
                let Some(frames) = under_way.borrow_mut().pop_front() else { return Ok(()) };
                let results = this.results(&arrived(&stage.after, &frames, &results))?;
                each(results.into_iter().map(|(name, placed)| Ok((name, placed.to_host()?))).collect::<Result<_>>()?)
            };
            let done = graph.run_all(&request, &mut std::iter::from_fn(&mut feed), &mut take);
            stage.session = Some(graph);
            self.keep(stage);
            done?;
            if next.is_none() {
                next = rest.next();
            }
        }
        Ok(())
    }
}
