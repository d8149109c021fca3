/// The token of the largest of the maxima of [`argmax`](super::argmax()), the lowest on a tie. `None` where there is no maximum.
pub fn argmax_merge(maxima: &[Option<(f32, u32)>]) -> Option<u32> {
    let mut choice: Option<(f32, u32)> = None;
    for maximum in maxima.iter().flatten() {
        if choice.is_none_or(|choice| maximum.0 > choice.0 || maximum.0 == choice.0 && maximum.1 < choice.1) {
            choice = Some(*maximum);
        }
    }
    choice.map(|(_, token)| token)
}
