//! What is kept in SQL, as far as it has to go again.

mod calls;
mod numbered;
mod sessions;
mod threads;

pub(crate) use calls::CallRecords;
pub(crate) use numbered::NoteRecords;
pub(crate) use threads::ThreadRecords;
