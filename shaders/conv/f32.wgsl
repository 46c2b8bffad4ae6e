// Elements of a convolution of floats; its tail is generated.

alias Element = f32;
