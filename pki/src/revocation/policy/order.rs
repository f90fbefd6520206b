//! In which order revocation is asked about, and what holds when nobody has answered.
//!
//! Two vendors write the same thing in two ways: `status-verify` with a primary, a secondary and a default result, and
//! `revocation-check` with a list that may end in `none`. Both are spellings of [`Order`].

use std::fmt;
use std::str::FromStr;

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The authority's list.
    Crl,
    /// Its responder.
    Ocsp,
}

/// What holds when no method has given an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// The certificate counts as revoked.
    #[default]
    Refuse,
    /// It counts as good.
    Accept,
}

/// Methods in order, each asked when those before have given no answer; a definite answer is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Each at most once. Empty only together with `Accept`: then nobody is asked.
    methods: Vec<Method>,
    otherwise: Otherwise,
}

/// Why words are not an order. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not one of the words.
    #[error("'{0}' is not a method; crl, ocsp and none are")]
    Word(String),
    /// The same method again.
    #[error("'{0}' stands twice")]
    Twice(Method),
    /// Something follows `none`, which always accepts.
    #[error("'{0}' can never be asked: it follows 'none', which accepts")]
    AfterNone(String),
    /// No word at all.
    #[error("no method is named; 'none' asks nobody")]
    Empty,
}

impl Order {
    /// As `status-verify` has it: CRL alone unless it says otherwise, and refusal in the end.
    pub fn status_verify(
        primary: Option<Method>,
        secondary: Option<Method>,
        default_result: Option<Otherwise>,
    ) -> Self {
        let primary = primary.unwrap_or(Method::Crl);
        let secondary = secondary.filter(|secondary| *secondary != primary);
        let methods = [Some(primary), secondary].into_iter().flatten().collect();
        Self { methods, otherwise: default_result.unwrap_or_default() }
    }

    /// Asks nobody and accepts.
    pub const fn never() -> Self {
        Self { methods: Vec::new(), otherwise: Otherwise::Accept }
    }

    /// The methods, first things first.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// What holds without an answer.
    pub const fn otherwise(&self) -> Otherwise {
        self.otherwise
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::status_verify(None, None, None)
    }
}

/// As `revocation-check` has it: `crl ocsp none`.
impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        let mut order = Self { methods: Vec::new(), otherwise: Otherwise::Refuse };
        for word in text.split_whitespace() {
            if order.otherwise == Otherwise::Accept {
                return Err(OrderError::AfterNone(word.to_owned()));
            }
            if word == "none" {
                order.otherwise = Otherwise::Accept;
                continue;
            }
            let method = word.parse()?;
            if order.methods.contains(&method) {
                return Err(OrderError::Twice(method));
            }
            order.methods.push(method);
        }
        let empty = order.methods.is_empty() && order.otherwise == Otherwise::Refuse;
        if empty { Err(OrderError::Empty) } else { Ok(order) }
    }
}

impl FromStr for Method {
    type Err = OrderError;

    fn from_str(word: &str) -> Result<Self, OrderError> {
        match word {
            "crl" => Ok(Self::Crl),
            "ocsp" => Ok(Self::Ocsp),
            _ => Err(OrderError::Word(word.to_owned())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crl => "crl",
            Self::Ocsp => "ocsp",
        })
    }
}

/// As `revocation-check` writes it.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = (self.otherwise == Otherwise::Accept).then(|| "none".to_owned());
        let words: Vec<String> = self.methods.iter().map(Method::to_string).chain(none).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_orders() {
        use {Method::*, Otherwise::*};
        for (primary, secondary, default_result, list) in [
            (None, None, None, "crl"),
            (Some(Crl), None, Some(Accept), "crl none"),
            (Some(Crl), Some(Ocsp), Some(Refuse), "crl ocsp"),
            (Some(Ocsp), Some(Crl), Some(Accept), "ocsp crl none"),
            (Some(Ocsp), Some(Ocsp), None, "ocsp"),
        ] {
            let order = Order::status_verify(primary, secondary, default_result);
            assert_eq!(list.parse(), Ok(order.clone()));
            assert_eq!(order.to_string(), list);
        }
        assert_eq!("none".parse(), Ok(Order::never()));
    }

    #[test]
    fn lists_that_mean_nothing_are_refused() {
        assert_eq!("".parse::<Order>(), Err(OrderError::Empty));
        assert_eq!("crl crl".parse::<Order>(), Err(OrderError::Twice(Method::Crl)));
        assert_eq!("crl none ocsp".parse::<Order>(), Err(OrderError::AfterNone("ocsp".to_owned())));
        assert_eq!("crl scvp".parse::<Order>(), Err(OrderError::Word("scvp".to_owned())));
    }
}
