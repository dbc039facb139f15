//! A `match` over `Op` names every operation, so that a new one does not compile until each reader knows it.
//!
//! Without types a `match` over `Op` is known by an arm that names `Op::`. Where the arms take several values apart, as
//! `(Op::A, Op::B)`, the rest is `_` by necessity, and only `_` in the place of the whole counts.

use proc_macro2::TokenTree;

use super::syntax::{braces, inside, is_ident, is_punct, line, starts_with_colons, tokens};
use super::{Finding, Tree};

/// One finding for each arm `_ =>` or `name =>`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.ending(".rs").filter(|(path, _)| !path.split('/').any(|folder| folder == "tests"));
    let of_file = |(path, text)| {
        let mut lines = Vec::new();
        catch_alls(&tokens(text), &mut lines);
        lines.into_iter().map(move |(line, arm)| {
            Finding::new(path, line, format!("`{arm} =>` in a match over Op: a new operation would go unseen here"))
        })
    };
    files.flat_map(of_file).collect()
}

fn catch_alls(tokens: &[TokenTree], found: &mut Vec<(usize, String)>) {
    for (at, token) in tokens.iter().enumerate() {
        if is_ident(token, "match")
            && let Some(body) = tokens[at..].iter().find_map(braces)
        {
            let arms = patterns(&body);
            if arms.iter().any(|arm| names_op(arm)) {
                let all = arms.iter().filter_map(|arm| match arm.as_slice() {
                    [TokenTree::Ident(name)] if !name.to_string().starts_with(char::is_uppercase) => {
                        Some((line(&arm[0]), name.to_string()))
                    }
                    _ => None,
                });
                found.extend(all);
            }
        }
        if let Some(inner) = inside(token) {
            catch_alls(&inner, found);
        }
    }
}

/// The patterns, with guards, of the arms of a `match`.
fn patterns(body: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let mut patterns = Vec::new();
    let mut rest = body;
    while let Some(arrow) = (1..rest.len()).find(|&at| is_punct(&rest[at - 1], '=') && is_punct(&rest[at], '>')) {
        patterns.push(rest[..arrow - 1].to_vec());
        rest = &rest[arrow + 1..];
        let block = rest.first().is_some_and(|token| braces(token).is_some());
        let end = if block { 0 } else { rest.iter().position(|t| is_punct(t, ',')).unwrap_or(rest.len()) };
        rest = rest.get(end + 1..).unwrap_or_default();
        if block && rest.first().is_some_and(|token| is_punct(token, ',')) {
            rest = &rest[1..];
        }
    }
    patterns
}

/// Whether `Op::` stands anywhere in a pattern but in parts of a tuple.
fn names_op(pattern: &[TokenTree]) -> bool {
    pattern.iter().enumerate().any(|(at, token)| {
        let named = is_ident(token, "Op") && starts_with_colons(&pattern[at + 1..]);
        // What follows a name are the fields of `Some(...)`, `Node { .. }`; a group of its own is a tuple or a slice.
        let fields = at > 0 && matches!(pattern[at - 1], TokenTree::Ident(_));
        named || (fields && inside(token).is_some_and(|inner| names_op(&inner)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let findings = check(&Tree::of(&[("a/src/x.rs", text), ("a/tests/y.rs", text)]));
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wildcard_over_op_is_found() {
        let text = "fn f() {\n match op {\n Op::Conv { .. } | Op::Act(_) => { 1 }\n _ => 0,\n }\n}";
        let expected = "a/src/x.rs:4: `_ =>` in a match over Op: a new operation would go unseen here";
        assert_eq!(found(text), [expected]);
        assert_eq!(found("fn f() { match x { Some(Op::Act(f)) => g(f, |_| 0), other => 0 } }").len(), 1);
        assert_eq!(found("fn f() { match x { 1 => match y { ir::Op::Act(f) => f, _ => 0 }, _ => 0 } }").len(), 1);
    }

    #[test]
    fn others_are_let_pass() {
        for text in [
            "fn f() { match op { Op::Conv { .. } => 1, Op::Act(_) => 2 } }",
            "fn f() { match x { A::B => Op::Add, _ => Op::Mul } }",
            "fn f() { match (a, b) { (Op::Conv { .. }, Op::Act(_)) => 1, _ => 0 } }",
            "#[cfg(test)] mod t { fn f() { match op { Op::Act(_) => 1, _ => 0 } } }",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }
}
