// Matrices that a subgroup multiplies together: 8 x 8, f16, with sums in f32.

const SIZE: u32 = 8u;

alias Element = f16;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Block = coop_mat8x8<f32, C>;
