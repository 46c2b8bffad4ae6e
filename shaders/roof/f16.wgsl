// The numbers that `roof_multiply_add` calculates with: f16.

alias number = f16;
