// Matrices that a subgroup multiplies together: 16 x 16, f16, with sums in f32.

const SIZE: u32 = 16u;

alias Element = f16;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Block = coop_mat16x16<f32, C>;
