//! A page with charts, of which everything is in one file: no script, nothing that is fetched, light or dark as the reader has it.

use super::bench::{BenchReport, bound_name, compare};
use super::chart::{Bars, Curve, Kernel, Roofline, bars, curves, roofline, stacks};
use super::flame::flame;
use super::fold::{self, Branch};
use super::profile::{ProfileReport, fold_table, summary};
use super::svg::escape;
use super::table::Table;
#[cfg(feature = "gate")]
use super::verify::VerifyReport;
use crate::measure::{Part, Roofs};

/// Ops that have a colour of their own; the rest is one.
const OPS: usize = 7;
/// Nodes that a table names.
const NODES: usize = 25;
/// Families of kernels that have bars.
#[cfg(feature = "gate")]
const FAMILIES: usize = 25;

/// A page under way.
struct Page {
    title: String,
    body: String,
}

impl Page {
    fn new(title: &str, lines: &[String]) -> Self {
        let mut page = Page { title: title.to_owned(), body: format!("<h1>{}</h1>", escape(title)) };
        lines.iter().for_each(|line| page.note(line));
        page
    }

    fn heading(&mut self, level: usize, text: &str) {
        self.body += &format!("<h{level}>{}</h{level}>\n", escape(text));
    }

    fn note(&mut self, text: &str) {
        self.body += &format!("<p class='note'>{}</p>\n", escape(text));
    }

    fn figure(&mut self, svg: &str) {
        self.body += &format!("<figure>{svg}</figure>\n");
    }

    fn table(&mut self, table: &Table) {
        let cell = |tag: &str, column: usize, text: &str| {
            let class = if table.is_right(column) { " class='right'" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(text))
        };
        let row = |tag: &str, texts: &[String]| texts.iter().enumerate().map(|(i, text)| cell(tag, i, text)).collect::<String>();
        let mut rows = format!("<tr>{}</tr>\n", row("th", &table.headings));
        for cells in &table.rows {
            let texts: Vec<String> = cells.iter().map(super::table::Cell::text).collect();
            rows += &format!("<tr>{}</tr>\n", row("td", &texts));
        }
        self.body += &format!("<div class='scroll'><table>{rows}</table></div>\n");
    }

    fn folded(&mut self, summary: &str, table: &Table) {
        self.body += &format!("<details><summary>{}</summary>", escape(summary));
        self.table(table);
        self.body += "</details>\n";
    }

    fn finish(self) -> String {
        let (title, style, body) = (escape(&self.title), include_str!("page.css"), self.body);
        format!(
            "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n\
             <meta name='viewport' content='width=device-width, initial-scale=1'>\n<title>{title}</title>\n\
             <style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )
    }
}

/// The page of a profile.
pub fn of_profile(report: &ProfileReport) -> String {
    let device = &report.device;
    let about = format!("{} ({}, {}, {}), wavelane {}", device.name, device.kind, device.backend, device.driver, report.version);
    let mut page = Page::new(&format!("{}: where the time goes", report.model), &[about]);
    parts(&mut page, &report.parts);
    page.finish()
}

/// The page of a device's kernels beside the reference.
#[cfg(feature = "gate")]
pub fn of_verify(report: &VerifyReport) -> String {
    let mut page = Page::new("Wavelane: are this device's kernels right?", &[report.headline(), report.summary()]);
    page.heading(2, "Struck kernels");
    match report.found.struck.is_empty() {
        true => page.note("None: every kernel that was compared gave right results."),
        false => page.table(&report.struck()),
    }
    page.heading(2, "Largest errors");
    page.note(
        "The largest errors of right results, by family of kernels, in per cent of what rounding may do there. Most results of most \
         families are exact.",
    );
    let mut families: Vec<&crate::verify::Family> = report.found.families.iter().filter(|f| f.worst > 0.0).collect();
    families.sort_by(|a, b| b.worst.total_cmp(&a.worst));
    let bar = |f: &&crate::verify::Family| Bars { name: f.family.clone(), values: vec![Some((f.worst * 100.0, 0.0))] };
    page.figure(&bars(
        "Largest errors",
        &["largest error".into()],
        &families.iter().take(FAMILIES).map(bar).collect::<Vec<_>>(),
        "%",
    ));
    page.heading(2, "Families");
    page.table(&report.families());
    let mut cases = Table::new(&["family", "case with the largest error"]);
    families.iter().for_each(|f| cases.row(vec![f.family.as_str().into(), f.worst_case.as_str().into()]));
    page.folded("Cases with the largest errors", &cases);
    if !report.found.untried.is_empty() {
        page.heading(2, "Not compared");
        page.table(&report.untried());
    }
    page.finish()
}

/// The page of reports beside one another, each with its name; of one alone just as well.
pub fn of_bench(reports: &[(String, BenchReport)]) -> String {
    let lines: Vec<String> = match reports {
        [(_, report)] => vec![report.headline()],
        many => many.iter().map(|(name, report)| format!("{name}: {}", report.headline())).collect(),
    };
    let title = if reports.len() > 1 { "Wavelane: measurements compared" } else { "Wavelane: what this device does" };
    let mut page = Page::new(title, &lines);
    if reports.len() > 1 {
        page.heading(2, "All figures");
        page.note("Columns with x tell how many times as good as the first report.");
        page.table(&compare(reports));
    }
    roofs(&mut page, reports);
    kernels(&mut page, reports);
    models(&mut page, reports);
    page.finish()
}

fn roofs(page: &mut Page, reports: &[(String, BenchReport)]) {
    let with_roofs: Vec<(&String, &BenchReport, &Roofs)> =
        reports.iter().filter_map(|(name, report)| Some((name, report, report.roofs.as_ref()?))).collect();
    if with_roofs.is_empty() {
        return;
    }
    page.heading(2, "Roofline");
    page.note(
        "Each dot is a kernel; the line above is what the device can do with so many operations for each byte. \
         Left of the bend memory is the bound, right of it arithmetic. Dots above the line had their data in a cache, or the machine was busier while the roof was measured.",
    );
    page.figure(&roofline(&with_roofs.iter().map(|(name, report, roofs)| line(name, report, roofs)).collect::<Vec<_>>()));
    page.heading(2, "Bandwidth over sizes");
    page.note("Small buffers stay in caches; the largest tells about memory.");
    let points = |roofs: &Roofs, of: fn(&crate::measure::roof::Bandwidth) -> f64| {
        roofs.bandwidth.iter().map(|b| ((b.bytes >> 20) as f64, of(b) / 1e9)).collect()
    };
    let lines: Vec<Curve> = match &with_roofs[..] {
        [(_, _, roofs)] => vec![
            Curve { name: "read".into(), points: points(roofs, |b| b.read) },
            Curve { name: "write".into(), points: points(roofs, |b| b.write) },
            Curve { name: "copy, read and written".into(), points: points(roofs, |b| b.copy) },
        ],
        many => many
            .iter()
            .map(|(name, _, roofs)| Curve { name: format!("{name}, read"), points: points(roofs, |b| b.read) })
            .collect(),
    };
    page.figure(&curves("Bandwidth over sizes", &lines, "GB/s"));
    if let [(_, report)] = reports {
        report.tables().iter().filter(|(title, _)| title == "Roofs").for_each(|(_, table)| page.table(table));
    }
}

/// A device's roofline with its kernels.
fn line(name: &str, report: &BenchReport, roofs: &Roofs) -> Roofline {
    let mut ceilings = vec![("f32", roofs.f32_flops)];
    ceilings.extend(roofs.f16_flops.map(|flops| ("f16", flops)));
    ceilings.push(("int8", roofs.int8_ops));
    ceilings.extend(roofs.cooperative_flops.map(|flops| ("matrices", flops)));
    let kernel = |(i, k): (usize, &crate::measure::KernelFigure)| Kernel {
        number: i + 1,
        name: k.name.clone(),
        intensity: k.flops as f64 / k.bytes.max(1) as f64,
        rate: k.flops_per_second(),
        share: k.share,
    };
    let kernels = report.kernels.iter().enumerate().map(kernel).collect();
    Roofline { name: name.to_owned(), bandwidth: roofs.memory.read, ceilings, kernels }
}

fn kernels(page: &mut Page, reports: &[(String, BenchReport)]) {
    let names: Vec<String> = reports.iter().map(|(name, _)| name.clone()).collect();
    let mut groups: Vec<Bars> = Vec::new();
    for kernel in reports.iter().flat_map(|(_, report)| &report.kernels) {
        if groups.iter().any(|g| g.name == kernel.name) {
            continue;
        }
        let find = |report: &BenchReport| {
            report.kernels.iter().find(|k| k.name == kernel.name).map(|k| (k.share * 100.0, k.spread * k.share * 50.0))
        };
        groups.push(Bars { name: kernel.name.clone(), values: reports.iter().map(|(_, r)| find(r)).collect() });
    }
    if groups.is_empty() {
        return;
    }
    if let [(_, report)] = reports {
        for (i, (group, kernel)) in groups.iter_mut().zip(&report.kernels).enumerate() {
            group.name = format!("{}. {} ({})", i + 1, kernel.name, bound_name(kernel.bound));
        }
    }
    page.heading(2, "Kernels");
    page.note("Share of the roof that bounds each: bytes read, bytes read and written (copy), or f32 arithmetic.");
    page.figure(&bars("Share of the roof", &names, &groups, "%"));
    if let [(_, report)] = reports {
        report.tables().iter().filter(|(title, _)| title == "Kernels").for_each(|(_, table)| page.folded("All numbers", table));
    }
}

fn models(page: &mut Page, reports: &[(String, BenchReport)]) {
    let names: Vec<String> = reports.iter().map(|(name, _)| name.clone()).collect();
    let mut seen: Vec<&str> = Vec::new();
    for model in reports.iter().flat_map(|(_, report)| &report.models) {
        if seen.contains(&model.model.as_str()) {
            continue;
        }
        seen.push(&model.model);
        page.heading(2, &model.model);
        let unit = model.tests.first().map_or("", |t| t.unit.as_str());
        let value = |report: &BenchReport, test: &str| {
            let same = report.models.iter().find(|m| m.model == model.model)?;
            same.tests.iter().find(|t| t.test == test).map(|t| (t.mean, t.deviation))
        };
        let group = |test: &str| Bars { name: test.to_owned(), values: reports.iter().map(|(_, r)| value(r, test)).collect() };
        let groups: Vec<Bars> = model.tests.iter().map(|t| group(&t.test)).collect();
        page.figure(&bars(&model.model, &names, &groups, unit));
        match reports {
            [_] => parts(page, &model.parts),
            many => time_and_memory(page, &beside_one_another(many, &model.model)),
        }
    }
}

/// The parts of a model in all reports, each with its report's name: the first of all reports, then the second of all.
fn beside_one_another(reports: &[(String, BenchReport)], model: &str) -> Vec<Part> {
    let mut parts: Vec<(usize, Part)> = Vec::new();
    for (name, report) in reports {
        let same = report.models.iter().filter(|m| m.model == model).flat_map(|m| &m.parts);
        parts.extend(same.enumerate().map(|(i, part)| (i, Part { name: format!("{name}: {}", part.name), ..part.clone() })));
    }
    parts.sort_by_key(|(i, _)| *i);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Where the time of a model's parts goes, its memory, and everything about each part.
fn parts(page: &mut Page, parts: &[Part]) {
    time_and_memory(page, parts);
    for part in parts {
        page.heading(3, &part.name);
        page.note(&summary(part));
        let [whole, layers] = [false, true].map(|layers| fold::tree(&part.name, &part.profile, layers));
        if layers.branches.len() < whole.branches.len() {
            page.figure(&flame(&Branch { name: format!("{}, all layers together", part.name), ..layers }));
        }
        page.figure(&flame(&whole));
        page.table(&fold_table(part, "op", &fold::by_op(&part.profile), usize::MAX));
        let (places, nodes) = (fold::by_place(&part.profile), fold::by_node(&part.profile));
        if places.len() < nodes.len() {
            page.folded("Nodes of all layers", &fold_table(part, "nodes of all layers", &places, NODES));
        }
        page.folded("Nodes", &fold_table(part, "node", &nodes, NODES));
    }
}

fn time_and_memory(page: &mut Page, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    page.heading(3, "Time of each op");
    page.figure(&time_by_op(parts));
    page.heading(3, "Memory");
    let rows = |part: &Part| {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let p = &part.profile;
        (part.name.clone(), vec![mebibytes(p.weight_bytes), mebibytes(p.arena_bytes), mebibytes(p.state_bytes)])
    };
    let names = ["weights", "activations", "states"].map(str::to_owned);
    page.figure(&stacks("Memory", &names, &parts.iter().map(rows).collect::<Vec<_>>(), "MiB"));
}

/// A bar for each part, divided by ops; those that take least are put together.
fn time_by_op(parts: &[Part]) -> String {
    let folds: Vec<Vec<fold::Fold>> = parts.iter().map(|part| fold::by_op(&part.profile)).collect();
    let mut totals: Vec<(String, f64)> = Vec::new();
    for fold in folds.iter().flatten() {
        match totals.iter_mut().find(|(name, _)| *name == fold.name) {
            Some((_, seconds)) => *seconds += fold.seconds,
            None => totals.push((fold.name.clone(), fold.seconds)),
        }
    }
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    totals.retain(|(_, seconds)| *seconds > 0.0);
    let mut names: Vec<String> = totals.iter().take(OPS).map(|(name, _)| name.clone()).collect();
    let row = |(part, folds): (&Part, &Vec<fold::Fold>)| {
        let of = |name: &String| folds.iter().find(|f| f.name == *name).map_or(0.0, |f| f.seconds * 1e3);
        let mut values: Vec<f64> = names.iter().map(of).collect();
        if totals.len() > OPS {
            values.push(folds.iter().filter(|f| !names.contains(&f.name)).map(|f| f.seconds * 1e3).sum());
        }
        (part.name.clone(), values)
    };
    let rows: Vec<(String, Vec<f64>)> = parts.iter().zip(&folds).map(row).collect();
    if totals.len() > OPS {
        names.push("others".into());
    }
    stacks("Time of each op", &names, &rows, "ms")
}
