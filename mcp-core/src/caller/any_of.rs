//! Several ways in at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Authenticate, Caller, Challenge};
use crate::endpoint::head::Head;

/// Lets in whoever one of several lets in, asked in the order in which they were given.
///
/// Where none does, the answer is the most that is known: that one of them cannot be asked now, which might have; else why an access token
/// is not valid; else that the credentials cannot be read; else that they are not valid; else that there are none. Of two that say the
/// same, it is what the first one says.
#[derive(Clone, Default)]
pub struct AnyOf(Vec<Arc<dyn Authenticate>>);

impl AnyOf {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whoever `authenticate` lets in as well.
    #[must_use]
    pub fn or(mut self, authenticate: impl Authenticate) -> Self {
        self.0.push(Arc::new(authenticate));
        self
    }
}

#[async_trait]
impl Authenticate for AnyOf {
    async fn authenticate(&self, head: &dyn Head) -> Result<Caller, Challenge> {
        let mut refused: Option<Challenge> = None;
        for one in &self.0 {
            let challenge = match one.authenticate(head).await {
                Ok(caller) => return Ok(caller),
                Err(challenge) => challenge,
            };
            if refused.as_ref().is_none_or(|before| knows(&challenge) > knows(before)) {
                refused = Some(challenge);
            }
        }
        Err(refused.unwrap_or(Challenge::Missing("; the server lets nobody in yet")))
    }
}

/// How much a challenge tells of the credentials that were sent.
fn knows(challenge: &Challenge) -> u8 {
    match challenge {
        Challenge::Missing(_) => 0,
        Challenge::Invalid => 1,
        Challenge::Malformed(_) => 2,
        Challenge::InvalidToken(_) => 3,
        Challenge::Unavailable(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::endpoint::head::Header;

    /// Answers everyone so.
    struct Says(Result<Caller, Challenge>);

    #[async_trait]
    impl Authenticate for Says {
        async fn authenticate(&self, _: &dyn Head) -> Result<Caller, Challenge> {
            self.0.clone()
        }
    }

    struct Nothing;

    impl Head for Nothing {
        fn verb(&self) -> &str {
            "POST"
        }

        fn header(&self, _: &str) -> Header<'_> {
            Header::Absent
        }

        fn values(&self, _: &str) -> Vec<&[u8]> {
            Vec::new()
        }

        fn any_name(&self, _: &dyn Fn(&str) -> bool) -> bool {
            false
        }

        fn peer(&self) -> Option<std::net::IpAddr> {
            None
        }
    }

    #[test]
    fn one_that_lets_in_is_enough_and_else_the_most_is_said_that_is_known() {
        let (ada, missing) = (Ok(Caller::new("t", "ada")), |text| Err(Challenge::Missing(text)));
        let (invalid, gone) = (Err(Challenge::Invalid), Err(Challenge::Unavailable("it")));
        let (token, malformed) =
            (Err(Challenge::InvalidToken("it is old")), Err(Challenge::Malformed("it is there twice")));
        for (ways, expected) in [
            (vec![missing("a"), invalid.clone(), gone.clone(), ada.clone()], &ada),
            (vec![ada.clone(), gone.clone()], &ada),
            (vec![missing("a"), gone.clone(), invalid.clone()], &gone),
            (vec![invalid.clone(), missing("a")], &invalid),
            (vec![invalid.clone(), malformed.clone(), token.clone()], &token),
            (vec![malformed.clone(), invalid.clone()], &malformed),
            (vec![token.clone(), gone.clone()], &gone),
            (vec![missing("a"), invalid.clone()], &invalid),
            (vec![missing("a"), missing("b")], &missing("a")),
        ] {
            let any = ways.iter().fold(AnyOf::new(), |any, way| any.or(Says(way.clone())));
            assert_eq!(any.authenticate(&Nothing).now_or_never().as_ref(), Some(expected), "{ways:?}");
        }
        assert!(matches!(AnyOf::new().authenticate(&Nothing).now_or_never(), Some(Err(Challenge::Missing(_)))));
    }
}
