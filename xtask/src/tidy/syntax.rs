//! Rust source as token trees, without test code.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The tokens of a file, without items behind `#[cfg(test)]`; none for a file that is not Rust.
pub fn tokens(text: &str) -> Vec<TokenTree> {
    TokenStream::from_str(text).map(|stream| without_tests(stream.into_iter().collect()).0).unwrap_or_default()
}

/// The names of modules in files of their own that only tests compile.
pub fn test_modules(text: &str) -> Vec<String> {
    TokenStream::from_str(text).map(|stream| without_tests(stream.into_iter().collect()).1).unwrap_or_default()
}

/// Takes out each item after `#[cfg(test)]`, up to its `;` or braces.
fn without_tests(tokens: Vec<TokenTree>) -> (Vec<TokenTree>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let test = is_punct(&token, '#') && rest.peek().is_some_and(|next| squeezed(next) == "[cfg(test)]");
        if !test {
            kept.push(token);
            continue;
        }
        let mut item = Vec::new();
        for token in rest.by_ref() {
            let end = is_punct(&token, ';') || braces(&token).is_some();
            item.push(token);
            if end {
                break;
            }
        }
        if let [.., keyword, TokenTree::Ident(name), end] = item.as_slice()
            && is_ident(keyword, "mod")
            && is_punct(end, ';')
        {
            modules.push(name.to_string());
        }
    }
    (kept, modules)
}

fn squeezed(token: &TokenTree) -> String {
    token.to_string().split_whitespace().collect()
}

pub fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

pub fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// The tokens between braces.
pub fn braces(token: &TokenTree) -> Option<Vec<TokenTree>> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream().into_iter().collect()),
        _ => None,
    }
}

/// The tokens between delimiters of any kind.
pub fn inside(token: &TokenTree) -> Option<Vec<TokenTree>> {
    match token {
        TokenTree::Group(group) => Some(group.stream().into_iter().collect()),
        _ => None,
    }
}

pub fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

/// Whether `::` stands at the beginning.
pub fn starts_with_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [a, b, ..] if is_punct(a, ':') && is_punct(b, ':'))
}

/// The segments of the path at the beginning, and how many tokens it is long.
pub fn path(tokens: &[TokenTree]) -> Option<(Vec<String>, usize)> {
    let TokenTree::Ident(first) = tokens.first()? else { return None };
    let mut segments = vec![first.to_string()];
    let mut at = 1;
    while starts_with_colons(&tokens[at..]) {
        let Some(TokenTree::Ident(next)) = tokens.get(at + 2) else { break };
        segments.push(next.to_string());
        at += 3;
    }
    Some((segments, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_items_are_taken_out() {
        let text = "use a::b;\n#[cfg(test)]\nmod tests { use c::d; }\n#[cfg(test)] mod more;\nfn e() {}";
        let kept: Vec<String> = tokens(text).iter().map(ToString::to_string).collect();
        assert_eq!(kept.join(" "), "use a : : b ; fn e () { }");
        assert_eq!(test_modules(text), ["more"]);
    }

    #[test]
    fn a_path_is_read_to_its_end() {
        let tokens = tokens("crate::a::B::<u8>::new()");
        let (segments, length) = path(&tokens).unwrap();
        assert_eq!((segments.join("/"), length), ("crate/a/B".to_owned(), 7));
    }
}
