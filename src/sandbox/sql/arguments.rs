//! From the plugin's arguments to those of the text that runs.

use crate::error::{Error, ErrorCode, Result};

/// Highest number of arguments; PostgreSQL's and SQLite's own limits are 65535 and 32766.
pub(super) const MAX_ARGUMENTS: usize = 4096;

/// How many arguments a statement takes, and in which order the canonical text wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentMap {
    arity: usize,
    /// Index of the plugin's argument for each placeholder of the canonical text; `None`: as they come.
    order: Option<Vec<usize>>,
}

impl ArgumentMap {
    /// `arity` arguments in their own order.
    pub(super) fn in_order(arity: usize) -> Self {
        Self { arity, order: None }
    }

    /// One argument of the plugin for each placeholder; `order` counts from 0 and has no gaps.
    pub(super) fn reordered(arity: usize, order: Vec<usize>) -> Self {
        let identity = order.len() == arity && order.iter().copied().eq(0..arity);
        Self { arity, order: (!identity).then_some(order) }
    }

    /// Number of arguments the plugin has to give.
    #[must_use]
    pub fn arity(&self) -> usize {
        self.arity
    }

    /// Arguments in the order of the canonical text, repeated where it needs them more than once.
    ///
    /// # Errors
    /// `policy.sql.arguments` when `args` are not exactly as many as the statement has placeholders.
    pub fn apply<T: Clone>(&self, args: &[T]) -> Result<Vec<T>> {
        if args.len() != self.arity {
            return Err(Error::new(
                ErrorCode::PolicySqlArguments,
                format!("statement has {} placeholders but {} arguments were given", self.arity, args.len()),
            )
            .with_detail("placeholders", self.arity)
            .with_detail("arguments", args.len()));
        }
        match &self.order {
            None => Ok(args.to_vec()),
            Some(order) => Ok(order.iter().filter_map(|&index| args.get(index).cloned()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_repeated_and_reordered() {
        let map = ArgumentMap::reordered(2, vec![1, 0, 1]);
        assert_eq!(map.apply(&["a", "b"]).unwrap(), ["b", "a", "b"]);
        assert_eq!(map.arity(), 2);
    }

    #[test]
    fn wrong_count_is_refused() {
        let error = ArgumentMap::in_order(2).apply(&[1]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PolicySqlArguments);
        assert_eq!(error.to_string(), "statement has 2 placeholders but 1 arguments were given");
    }
}
