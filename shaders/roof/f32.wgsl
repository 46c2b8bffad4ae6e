// The numbers that `roof_multiply_add` calculates with: f32.

alias number = f32;
