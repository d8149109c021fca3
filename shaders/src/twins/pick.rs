/// The token of the largest find, the first on a tie.
pub fn pick(best: &[(f32, u32)]) -> u32 {
    let mut choice = best[0];
    for find in best {
        if find.0 > choice.0 {
            choice = *find;
        }
    }
    choice.1
}
