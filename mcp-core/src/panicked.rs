//! What a panic said.

use std::any::Any;

/// The words of a panic that was caught, if it had any.
pub fn words(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}
