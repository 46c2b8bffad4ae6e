// What is packed: integers.

alias Element = i32;
