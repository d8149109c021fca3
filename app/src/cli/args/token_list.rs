//! Lists of token ids.

/// Token ids, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenList(pub(crate) Vec<u32>);

impl std::str::FromStr for TokenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let id = |item: &str| item.trim().parse().map_err(|_| format!("{:?} is not a token id", item.trim()));
        text.split(',').map(id).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_lists() {
        assert_eq!("2, 651,7".parse(), Ok(TokenList(vec![2, 651, 7])));
        assert_eq!("".parse(), Ok(TokenList(vec![])));
        assert_eq!("2,x".parse::<TokenList>(), Err("\"x\" is not a token id".into()));
        assert!("2,-1".parse::<TokenList>().is_err());
        assert!("2,,3".parse::<TokenList>().is_err());
        assert!("99999999999".parse::<TokenList>().is_err());
    }
}
