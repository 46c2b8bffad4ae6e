// Sums of tiles of f32 along all of K: in the numbers that are multiplied.

alias TotalPiece = Piece;
alias Totals = Sums;

// Adds the products of both tiles for the invocation at `across` and `down`.
fn add_to_totals(across: u32, down: u32, totals: Totals) -> Totals {
    return add_tiles(across, down, totals);
}
