//! Which part of a file.

use std::ops::Range;

/// A part of a file whose size is not known yet; the first byte has the number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// All but the bytes before this one.
    Since(u64),
    /// From this one to that one, which is part of it, or to the end of the file.
    Between(u64, u64),
    /// So many at the end, or all.
    Last(u64),
}

impl Span {
    /// Which bytes of a file of `size` bytes these are; nothing, where there are none.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Since(first) => first..size,
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_with_the_file_and_begins_within_it() {
        for (span, size, range) in [
            (Span::Since(0), 3, Some(0..3)),
            (Span::Since(2), 3, Some(2..3)),
            (Span::Since(3), 3, None),
            (Span::Since(0), 0, None),
            (Span::Between(1, 1), 3, Some(1..2)),
            (Span::Between(1, u64::MAX), 3, Some(1..3)),
            (Span::Between(2, 1), 3, None),
            (Span::Between(3, 4), 3, None),
            (Span::Last(1), 3, Some(2..3)),
            (Span::Last(u64::MAX), 3, Some(0..3)),
            (Span::Last(0), 3, None),
            (Span::Last(1), 0, None),
        ] {
            assert_eq!(span.of(size), range, "{span:?} of {size}");
        }
    }
}
