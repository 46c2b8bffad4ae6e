// Inputs of a convolution for four neighbouring outputs at a time.

alias WindowPlace = WindowPixels;

struct WindowPixels {
    p0: WindowPixel,
    p1: WindowPixel,
    p2: WindowPixel,
    p3: WindowPixel,
}

fn window_pixels(pixel: u32) -> WindowPixels {
    return WindowPixels(window_pixel(pixel), window_pixel(pixel + 1u), window_pixel(pixel + 2u), window_pixel(pixel + 3u));
}

fn window_quad(own: WindowPixels, tap: Tap) -> vec4<f32> {
    return vec4<f32>(
        window_input(own.p0, tap),
        window_input(own.p1, tap),
        window_input(own.p2, tap),
        window_input(own.p3, tap),
    );
}
