//! The blocks of Markdown, to print those that cannot change any more.

use pulldown_cmark::Event;

use super::markdown::parser;

/// The bytes at which the top-level blocks of a text start. Text that is appended changes only the last block.
pub(crate) fn block_starts(text: &str) -> Vec<usize> {
    let mut depth = 0usize;
    let mut starts = Vec::new();
    for (event, range) in parser(text).into_offset_iter() {
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    starts.push(range.start);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => starts.push(range.start),
            _ => {}
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_block_changes_when_text_is_appended() {
        let text = "# A\n\npara\ngraph\n\n- x\n- y\n\n```\ncode\n```\nend";
        let starts = block_starts(text);
        let blocks: Vec<&str> = starts.iter().map(|at| text[*at..].lines().next().unwrap()).collect();
        assert_eq!(blocks, ["# A", "para", "- x", "```", "end"]);
        for end in 0..text.len() {
            let before = block_starts(&text[..end]);
            let settled = &before[..before.len().saturating_sub(1)];
            assert_eq!(settled, &starts[..settled.len()], "{:?}", &text[..end]);
        }
    }
}
