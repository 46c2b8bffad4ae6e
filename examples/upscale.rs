//! Enlarges a picture with Real-ESRGAN:
//! `scripts/fetch.sh realesrgan`, then `cargo run --release --features media --example upscale -- MODEL.safetensors IN OUT [DEVICE]`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use wavelane::media::Picture;
use wavelane::media::geometry::Rect;
use wavelane::media::planar::Normalize;
use wavelane::models::Srvgg;
use wavelane::plan::Request;
use wavelane::session::{Device, GraphSession};
use wavelane::shape::Symbols;
use wavelane::tensor::Tensor;

/// Pixels from one tile to the next, beside which each tile sees some of its neighbours. Activations take 256 bytes a pixel, twice.
const TILE: usize = 192;

fn main() -> wavelane::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output, rest @ ..] = &arguments[..] else {
        eprintln!("usage: upscale MODEL.safetensors IN OUT [DEVICE]");
        std::process::exit(2);
    };
    let model = Srvgg::open(Path::new(model))?;
    let device = Device::open(rest.first().map(String::as_str))?;
    upscale(&Picture::open(Path::new(input))?, &model, &device)?.save(Path::new(output))
}

/// The picture `model.scale()` times as large, tile by tile.
fn upscale(picture: &Picture, model: &Srvgg, device: &Device) -> wavelane::Result<Picture> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    // All tiles have one size, so that one graph and one plan serve them.
    let [tile_width, tile_height] = [width, height].map(|whole| whole.min(TILE + 2 * model.reach()));
    let graph = Arc::new(model.graph(tile_height, tile_width)?);
    let mut session = GraphSession::new(device, graph, None)?;
    let request = Request { symbols: Symbols::new(), outputs: vec![0] };

    let scale = model.scale();
    let mut enlarged = Picture::filled((width * scale) as u32, (height * scale) as u32, [0; 3])?;
    for (y, rows) in tiles(height, tile_height, model.reach()) {
        for (x, columns) in tiles(width, tile_width, model.reach()) {
            let [x, y, width, height] = [x, y, tile_width, tile_height].map(|n| n as u32);
            let planes = picture.crop(Rect { x, y, width, height })?.to_nchw(&Normalize::UNIT);
            let planes = Tensor::f32(&[1, 3, tile_height, tile_width], planes)?;
            let result = session.run(&request, vec![planes])?;
            let [width, height] = [width, height].map(|n| n * scale as u32);
            let tile = Picture::from_nchw(result[0].as_f32()?, width, height, &Normalize::UNIT)?;
            let [columns, rows] = [&columns, &rows].map(|range| range.start * scale..range.end * scale);
            paste(&mut enlarged, &tile, [x, y].map(|n| n as usize * scale), [columns, rows]);
        }
    }
    Ok(enlarged)
}

/// Where tiles of `tile` out of `whole` pixels begin, and which pixels of the whole each is right about: all but those at which
/// the network saw the tile's border instead of the picture, `reach` from it.
fn tiles(whole: usize, tile: usize, reach: usize) -> Vec<(usize, Range<usize>)> {
    let starts = (0..(whole - tile).div_ceil(TILE) + 1).map(|i| (i * TILE).min(whole - tile));
    let right = |start: usize| {
        let begin = if start == 0 { 0 } else { start + reach };
        let end = if start + tile == whole { whole } else { start + tile - reach };
        (start, begin..end)
    };
    starts.map(right).collect()
}

/// Copies the pixels `columns`, `rows` of `picture` from `tile`, whose corner lies at `x`, `y` of it.
fn paste(picture: &mut Picture, tile: &Picture, [x, y]: [usize; 2], [columns, rows]: [Range<usize>; 2]) {
    let (stride, left) = (picture.width() as usize * 3, (columns.start - x) * 3);
    let lines = picture.rgb_mut().chunks_exact_mut(stride).take(rows.end).skip(rows.start);
    for (to, from) in lines.zip(tile.rows().skip(rows.start - y)) {
        let to = &mut to[columns.start * 3..columns.end * 3];
        to.copy_from_slice(&from[left..left + to.len()]);
    }
}
