/// The token of the largest find, the lowest on a tie; `None` where there is no find.
pub fn pick(best: &[Option<(f32, u32)>]) -> Option<u32> {
    let mut choice: Option<(f32, u32)> = None;
    for find in best.iter().flatten() {
        if choice.is_none_or(|choice| find.0 > choice.0 || find.0 == choice.0 && find.1 < choice.1) {
            choice = Some(*find);
        }
    }
    choice.map(|(_, token)| token)
}
