// Elements of a convolution of integers, which have no tail.

alias Element = i32;

fn tail(sum: i32, index: u32, channel: u32) -> i32 {
    return sum;
}
