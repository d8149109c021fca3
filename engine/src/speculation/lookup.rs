//! Guesses from what was written already: prompt lookup (Saxena 2023). Where the newest tokens occurred before, in the prompt or in
//! the reply, those that followed then may follow again. Edits and summaries repeat their source, and lists their pattern.

/// Fewer equal tokens are too common to tell anything.
const FEWEST: usize = 3;
/// More equal tokens make no guess likelier.
const ENOUGH: usize = 16;

/// Guesses the `most` tokens after `ids`, from the longest equal stretch before, and of those the newest: the tokens, and how many
/// tokens before them are equal, up to 16. No tokens if the newest ones are new.
pub(crate) fn look_up(ids: &[u32], most: usize) -> (Vec<u32>, usize) {
    let (mut equal, mut after) = (FEWEST - 1, 0);
    for end in (FEWEST..ids.len()).rev() {
        let alike = ids[..end].iter().rev().zip(ids.iter().rev()).take(ENOUGH).take_while(|(a, b)| a == b).count();
        if alike > equal {
            (equal, after) = (alike, end);
        }
        if equal == ENOUGH {
            break;
        }
    }
    if after == 0 {
        return (Vec::new(), 0);
    }
    // What goes on to the end repeats: it is followed by itself.
    (ids[after..].iter().cycle().take(most).copied().collect(), equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_same_tokens_is_guessed() {
        assert_eq!(look_up(&[1, 2, 3, 4, 5, 9, 2, 3, 4], 2), (vec![5, 9], 3));
        // The longer stretch before the newer one.
        assert_eq!(look_up(&[1, 2, 3, 4, 5, 7, 2, 3, 4, 6, 1, 2, 3, 4], 1), (vec![5], 4));
        // Of equal ones the newest.
        assert_eq!(look_up(&[2, 3, 4, 5, 2, 3, 4, 6, 2, 3, 4], 1), (vec![6], 3));
    }

    #[test]
    fn what_repeats_is_guessed_on() {
        assert_eq!(look_up(&[1, 2, 1, 2, 1, 2, 1], 4), (vec![2, 1, 2, 1], 5));
        assert_eq!(look_up(&[7; 40], 3), (vec![7; 3], ENOUGH));
    }

    #[test]
    fn nothing_is_guessed_after_new_tokens() {
        assert_eq!(look_up(&[1, 2, 3, 4, 2, 3], 4), (vec![], 0));
        assert_eq!(look_up(&[], 4), (vec![], 0));
        assert_eq!(look_up(&[1, 1], 4), (vec![], 0));
    }
}
