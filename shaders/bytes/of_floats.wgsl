// What is packed: floats.

alias Element = f32;
