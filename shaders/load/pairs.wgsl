// Weights two groups at a time, whose scales share words: each word is loaded once. For rows of an even number of groups.

const SPAN: u32 = 2u;

alias SpanScales = PairScales;

fn span_scales(span: u32) -> SpanScales {
    return pair_scales(span);
}

fn span_group(scales: SpanScales, span: u32, i: u32) -> WeightGroup {
    return pair_group(scales, span * 2u + i, i);
}
