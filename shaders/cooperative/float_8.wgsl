// Matrices that a subgroup multiplies together: 8 x 8, f32, with sums in f32.

const SIZE: u32 = 8u;

alias Element = f32;
alias Left = coop_mat8x8<f32, A>;
alias Right = coop_mat8x8<f32, B>;
alias Block = coop_mat8x8<f32, C>;
