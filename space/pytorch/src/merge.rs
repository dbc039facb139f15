//! One class for modules that differ in parts that some of them lack.

use crate::form::{Form, Ref, Skip, Statement};

/// A class before its arguments are known: all statements of its instances.
#[derive(Clone, Debug)]
pub(crate) struct Union {
    pub(crate) statements: Vec<Statement>,
    pub(crate) args: Vec<Vec<Ref>>,
    pub(crate) outputs: Vec<Ref>,
    /// For each instance and statement, the statement of the instance's form.
    pub(crate) members: Vec<Vec<Option<usize>>>,
}

impl Union {
    pub(crate) fn of(form: &Form) -> Union {
        let members = vec![(0..form.statements.len()).map(Some).collect()];
        Union { statements: form.statements.clone(), args: form.args.clone(), outputs: form.outputs.clone(), members }
    }

    /// The class with one more instance; `None` if no class has both forms.
    pub(crate) fn with(&self, form: &Form) -> Option<Union> {
        let order = alignment(&self.statements, &form.statements);
        // An attribute is one thing: a module before another, and one of its name behind, are two.
        let alone = |p: &&Pair| p.0.is_none() != p.1.is_none();
        let name = |p: &Pair| {
            p.0.map_or_else(|| p.1.map(|i| &form.statements[i]), |i| Some(&self.statements[i]))?.name.as_ref()
        };
        let names: Vec<&String> = order.iter().filter(alone).filter_map(name).collect();
        if names.iter().enumerate().any(|(i, n)| names[..i].contains(n)) {
            return None;
        }
        let place = |pick: fn(&Pair) -> Option<usize>, count: usize| -> Vec<usize> {
            (0..count).filter_map(|i| order.iter().position(|pair| pick(pair) == Some(i))).collect()
        };
        let (ours, theirs) = (place(|p| p.0, self.statements.len()), place(|p| p.1, form.statements.len()));
        let moved = |r: Ref, to: &[usize]| match r {
            Ref::Input(_) => r,
            Ref::Result(s, k) => Ref::Result(to[s], k),
        };
        let (mut statements, mut args) = (Vec::new(), Vec::new());
        for pair in &order {
            let of = |refs: &[Ref], to: &[usize]| refs.iter().map(|r| moved(*r, to)).collect::<Vec<_>>();
            let a = pair.0.map(|i| of(&self.args[i], &ours));
            let b = pair.1.map(|i| of(&form.args[i], &theirs));
            // Where both read a value, the later one leads to the earlier where a part is missing.
            args.push(match (a, b) {
                (Some(a), Some(b)) => a.into_iter().zip(b).map(|(x, y)| x.max(y)).collect(),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => Vec::new(),
            });
            let ours = pair.0.map(|i| &self.statements[i]);
            statements.extend(ours.or(pair.1.map(|i| &form.statements[i])).cloned());
        }
        if self.outputs.len() != form.outputs.len() {
            return None;
        }
        let both = self.outputs.iter().zip(&form.outputs);
        let outputs = both.map(|(a, b)| moved(*a, &ours).max(moved(*b, &theirs))).collect();
        let old = self.members.iter().map(|m| order.iter().map(|p| p.0.and_then(|i| m[i])).collect());
        let members = old.chain([order.iter().map(|p| p.1).collect()]).collect();
        let union = Union { statements, args, outputs, members };
        let same = |own: &[Vec<Ref>], to: &[usize], out: &[Ref]| {
            let lacks = |s: usize| !to.contains(&s);
            let arg = |r: Ref| union.resolve(r, &lacks);
            let all = own.iter().zip(to).all(|(refs, s)| {
                let theirs = refs.iter().map(|r| Some(moved(*r, to)));
                refs.len() == union.args[*s].len() && theirs.eq(union.args[*s].iter().map(|r| arg(*r)))
            });
            all && union.outputs.iter().zip(out).all(|(r, own)| arg(*r) == Some(moved(*own, to)))
        };
        (same(&self.args, &ours, &self.outputs) && same(&form.args, &theirs, &form.outputs)).then_some(union)
    }

    /// The value that an instance without some statements has in a place.
    fn resolve(&self, r: Ref, lacks: &impl Fn(usize) -> bool) -> Option<Ref> {
        let Ref::Result(s, _) = r else { return Some(r) };
        if !lacks(s) {
            return Some(r);
        }
        let passed = match self.statements[s].skip {
            Skip::Never => return None,
            Skip::Input(k) | Skip::Neutral(k) => self.args[s].get(k),
            Skip::Residual => self.args[s].get(1),
        };
        passed.and_then(|r| self.resolve(*r, lacks))
    }

    /// Whether some instance lacks a statement.
    pub(crate) fn is_optional(&self, statement: usize) -> bool {
        self.members.iter().any(|m| m[statement].is_none())
    }
}

/// A statement of one form, of the other, or of both.
type Pair = (Option<usize>, Option<usize>);

/// Pairs the statements of two forms in order: a longest common subsequence, with the others in between.
fn alignment(a: &[Statement], b: &[Statement]) -> Vec<Pair> {
    let mut best = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let skip = best[i + 1][j].max(best[i][j + 1]);
            best[i][j] = if a[i] == b[j] { (best[i + 1][j + 1] + 1).max(skip) } else { skip };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        let both = i < a.len() && j < b.len();
        if both && a[i] == b[j] && best[i][j] == best[i + 1][j + 1] + 1 {
            out.push((Some(i), Some(j)));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (both && best[i + 1][j] >= best[i][j + 1]) {
            out.push((Some(i), None));
            i += 1;
        } else {
            out.push((None, Some(j)));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(name: &str, skip: Skip) -> Statement {
        let (make, call) = (format!("{name}()"), "~($0)".to_string());
        let name = Some(name.to_string());
        Statement { name, make, call, results: Vec::new(), skip, helpers: Vec::new(), divides: false }
    }

    /// A chain of modules, with a sum of the input at the end if `residual`.
    fn form(names: &[&str], residual: bool) -> Form {
        let mut statements: Vec<_> = names.iter().map(|n| statement(n, Skip::Input(0))).collect();
        let mut args: Vec<Vec<Ref>> =
            (0..names.len()).map(|i| vec![if i == 0 { Ref::Input(0) } else { Ref::Result(i - 1, 0) }]).collect();
        if residual {
            statements.push(statement("sum", Skip::Residual));
            args.push(vec![Ref::Input(0), Ref::Result(names.len() - 1, 0)]);
        }
        let outputs = vec![Ref::Result(statements.len() - 1, 0)];
        Form { slots: vec![Vec::new(); statements.len()], statements, args, outputs }
    }

    fn names(union: &Union) -> Vec<&str> {
        union.statements.iter().filter_map(|s| s.name.as_deref()).collect()
    }

    #[test]
    fn parts_that_one_lacks_are_optional() {
        let union = Union::of(&form(&["conv", "se", "norm"], false)).with(&form(&["conv", "norm"], true)).unwrap();
        assert_eq!(names(&union), ["conv", "se", "norm", "sum"]);
        assert_eq!((0..4).filter(|s| union.is_optional(*s)).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(union.args[3], [Ref::Input(0), Ref::Result(2, 0)]);
        let again = union.with(&form(&["conv", "norm"], false)).unwrap();
        assert_eq!((names(&again).len(), again.members.len()), (4, 3));
    }

    #[test]
    fn other_edges_are_another_class() {
        let mut other = form(&["conv", "norm"], true);
        other.args[1] = vec![Ref::Input(0)];
        assert!(Union::of(&form(&["conv", "norm"], true)).with(&other).is_none());
        let mut needed = form(&["conv", "mix", "norm"], false);
        needed.statements[1].skip = Skip::Never;
        let moved = form(&["norm", "conv"], false);
        assert!(Union::of(&form(&["conv", "norm"], false)).with(&moved).is_none(), "one attribute in two places");
        assert!(Union::of(&needed).with(&form(&["conv", "norm"], false)).is_none());
    }
}
